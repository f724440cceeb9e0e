/** One contract for libc under Node and under Bun; the program is test/helpers/kernel/libc-contract.ts. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { bunExecutable } from '../../../build/bun.ts'
import { ROOT } from '../../helpers/run/executable.ts'

const PROGRAM = join(ROOT, 'test/helpers/kernel/libc-contract.ts')
const bun = bunExecutable()
const runtimes = [
  { name: 'node', argv: [process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM], skip: false },
  { name: 'bun', argv: [bun ?? '', PROGRAM], skip: bun === undefined && 'not installed: @oven/bun-linux-*' },
] as const

for (const { name, argv, skip } of runtimes) {
  t.test(`libc by ${name}`, { skip }, async (t) => {
    const [command, ...args] = argv
    const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
    t.equal(stderr, '')
    t.equal(status, 0)
    const lines = stdout.trim().split('\n')
    t.ok(lines.length >= 12, 'all of the contract ran')
    for (const line of lines) t.match(line, /^ok /, line)
  })
}
