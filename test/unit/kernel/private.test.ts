/** kernel/private.ts: folders that were open to all users are closed with what is in them. */
import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { replaceFile } from '../../../kernel/durable.ts'
import { closeToOthers } from '../../../kernel/private.ts'

const modeOf = (...path: string[]): string => (statSync(join(...path)).mode & 0o777).toString(8)

t.test('an open folder is closed, and all below it', async (t) => {
  const folder = t.testdir({ block: '', keys: { key: '' }, outside: {} })
  const outside = join(folder, 'outside')
  symlinkSync('/nowhere', join(folder, 'keys/dangling'))
  chmodSync(join(folder, 'block'), 0o644)
  chmodSync(join(folder, 'keys'), 0o755)
  chmodSync(outside, 0o700)
  writeFileSync(join(outside, 'in-a-closed-one'), '', { mode: 0o644 })
  chmodSync(folder, 0o755)
  closeToOthers(folder)
  t.same(
    [modeOf(folder), modeOf(folder, 'block'), modeOf(folder, 'keys'), modeOf(folder, 'keys/key')],
    ['700', '600', '700', '600'],
  )
  t.equal(modeOf(outside, 'in-a-closed-one'), '644', 'what no other user reaches is left alone')
})

t.test('a closed folder costs one look, and one that is absent stays so', async (t) => {
  const folder = t.testdir({ block: '' })
  chmodSync(join(folder, 'block'), 0o644)
  chmodSync(folder, 0o700)
  closeToOthers(folder)
  t.equal(modeOf(folder, 'block'), '644')
  closeToOthers(join(folder, 'absent'))
  t.throws(() => statSync(join(folder, 'absent')), { code: 'ENOENT' })
})

t.test('a temp file that an older version left does not pass its mode on', async (t) => {
  const folder = t.testdir()
  mkdirSync(join(folder, 'store'))
  writeFileSync(join(folder, 'store/.block.0.0.tmp'), 'torn', { mode: 0o644 })
  replaceFile(join(folder, 'store/block'), 'x', { fsync: false, mode: 0o600, isLocked: true })
  t.equal(modeOf(folder, 'store/block'), '600')
})
