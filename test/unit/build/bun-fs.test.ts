/** Files by libc in the Bun build, against Bun's own node:fs; the program is test/helpers/kernel/fs-contract.ts. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { bunExecutable } from '../../../build/bun.ts'
import { ROOT } from '../../helpers/run/executable.ts'

const bun = bunExecutable()

t.test('files by bun', { skip: bun === undefined && 'not installed: @oven/bun-linux-*' }, async (t) => {
  const program = join(ROOT, 'test/helpers/kernel/fs-contract.ts')
  const { status, stdout, stderr } = spawnSync(bun ?? '', [program], { encoding: 'utf8' })
  t.equal(stderr, '')
  t.equal(status, 0)
  const lines = stdout.trim().split('\n')
  t.ok(lines.length >= 8, 'all of the contract ran')
  for (const line of lines) t.match(line, /^ok /, line)
})
