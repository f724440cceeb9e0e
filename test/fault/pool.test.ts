/**
 * The processes that run many unit tests: nothing that fails, hangs on or takes its process with it may be lost, nor
 * what comes after it.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runPool } from '../helpers/run/pool.ts'

/** Without what tap tells its own processes. */
const ENV = { PATH: process.env['PATH'] }

const files = {
  'fine.test.ts': `import t from 'tap'\nt.test('fine', async (t) => t.pass())\n`,
  'wrong.test.ts': `import t from 'tap'\nt.test('wrong', async (t) => t.equal(1, 2))\n`,
  'open.test.ts': `import t from 'tap'\nt.pass()\nsetInterval(() => {}, 1_000)\n`,
  'gone.test.ts': `import t from 'tap'\nt.test('gone', async () => process.kill(process.pid, 'SIGKILL'))\n`,
  'late.test.ts': `import t from 'tap'\nt.pass()\nsetTimeout(() => { throw new Error('late') })\nt.test('next', () => new Promise((r) => setTimeout(r, 50)))\n`,
  'skipped.test.ts': `import t from 'tap'\nt.test('later', { skip: 'not here' }, () => {})\n`,
}

t.test('every file is heard of, and what is wrong with it', async (t) => {
  // Inside the repository, where a test finds tap.
  const folder = t.testdir(files)
  const log = join(folder, 'log')
  const ended = new Map<string, boolean>()
  const paths = Object.keys(files).map((name) => join(folder, name))
  const tally = await runPool(paths, log, ENV, (file, ok) => ended.set(file.slice(folder.length + 1), ok))
  const said = tally.failures.join('\n')
  t.match(said, /wrong\.test\.ts > wrong > should be equal/)
  t.match(said, /open\.test\.ts, after it > open: Timeout/)
  t.match(said, /gone\.test\.ts: its process ended \(SIGKILL\)/)
  t.match(said, /late\.test\.ts > .*late/)
  t.ok(tally.failed >= 4, `${tally.failed} failed`)
  t.same(tally.skips, ['not here'])
  t.match(Object.fromEntries(ended), { 'fine.test.ts': true, 'wrong.test.ts': false, 'late.test.ts': false })
  t.match(readFileSync(log, 'utf8'), /^# ended .*fine\.test\.ts$/m)
})
