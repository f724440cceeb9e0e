/** Which mappings of a process are nothing but its executable. */
import t from 'tap'
import { cleanMappings } from '../../../kernel/resident.ts'

const EXE = '/usr/bin/flatnet'
const mapping = (range: string, perms: string, path: string, anonymousKb: number) =>
  `${range} ${perms} 00000000 fe:00 42    ${path}
Size:                 64 kB
Rss:                  60 kB
Anonymous:        ${`${anonymousKb}`.padStart(8)} kB
AnonHugePages:         0 kB
VmFlags: rd ex mr mw me`

const smaps = (...mappings: string[]): string => `${mappings.join('\n')}\n`

t.test('text and constants are, what was written to is not', async (t) => {
  const all = smaps(
    mapping('555555000-555565000', 'r--p', EXE, 0),
    mapping('555565000-555595000', 'r-xp', EXE, 0),
    mapping('555595000-5555a5000', 'r--p', EXE, 4),
    mapping('5555a5000-5555b5000', 'rw-p', EXE, 0),
    mapping('7ff000000-7ff010000', 'r-xp', '/usr/lib/libc.so.6', 0),
    mapping('7ff010000-7ff020000', 'rw-p', '', 64),
  )
  t.same(cleanMappings(all, EXE), [
    { start: 0x555555000n, length: 0x10000n },
    { start: 0x555565000n, length: 0x30000n },
  ])
})

t.test('an executable that was replaced has another name in both places', async (t) => {
  const all = smaps(mapping('555555000-555565000', 'r-xp', `${EXE} (deleted)`, 0))
  t.equal(cleanMappings(all, `${EXE} (deleted)`).length, 1)
  t.equal(cleanMappings(all, EXE).length, 0)
})
