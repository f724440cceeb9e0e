/** Tables fit 100 columns, errors say what to do next, and foreign names cannot move the cursor. */
import t from 'tap'
import { CliError, explain, MAX_COLUMNS, table, widthOf, wrap } from '../../../../cli/ui/output.ts'
import { withProgress } from '../../../../cli/ui/progress.ts'
import { ConfigError } from '../../../../core/errors.ts'
import { turnsUntil } from '../../../helpers/run/turns.ts'

const columns = [
  { title: 'NAME', value: (r: { name: string }) => r.name, min: 10 },
  { title: 'ID', value: () => 'c'.repeat(12) },
  { title: 'PORTS', value: () => '8080->80,'.repeat(20), min: 20 },
]

t.test('a table', async (t) => {
  const long = table(columns, [{ name: 'n'.repeat(200) }, { name: 'web' }])
  for (const line of long.split('\n')) t.ok(line.length <= MAX_COLUMNS, `${line.length} columns`)
  t.match(long, /n…/, 'what was cut is marked')
  t.match(long, /c{12}/, 'columns without a minimum are never cut')
  t.equal(table(columns.slice(0, 2), [{ name: 'web' }]), 'NAME  ID\nweb   cccccccccccc')
  t.equal(table(columns.slice(0, 1), [{ name: 'a\u001b[2Jb\n' }]), 'NAME\na?[2Jb?')
})

t.test('a narrow table goes without what is spare', async (t) => {
  const spare = [...columns, { title: 'SINCE', value: () => '2026-11-25', isSpare: true }]
  t.match(table(spare, [{ name: 'web' }]), /SINCE/)
  t.notMatch(table(spare, [{ name: 'n'.repeat(99) }], 50), /SINCE/)
  t.equal(widthOf({ stdout: { write: () => {} }, stderr: { write: () => {} } }), 100, 'into a pipe')
  for (const [columns, width] of [
    [0, 100],
    [40, 80],
    [90, 90],
    [300, 100],
  ] as const)
    t.equal(widthOf({ stdout: { write: () => {}, columns }, stderr: { write: () => {} } }), width)
})

t.test('a long wait is announced, a short one is not', async (t) => {
  let said = ''
  const io = {
    stdout: { write: () => {} },
    stderr: {
      write: (text: string) => {
        said += text
      },
    },
  }
  t.equal(await withProgress(io, 'at once', Promise.resolve(1)), 1)
  t.equal(said, '')
  const { promise, reject } = Promise.withResolvers<void>()
  const waits = withProgress(io, 'asking host 1', promise, { firstMs: 2, againMs: 2 })
  await turnsUntil('it is said twice', () => said.split('\n').length > 2)
  t.match(said, /^(flatnet: asking host 1, for \d+ s\n)+$/)
  reject(new Error('no'))
  await t.rejects(waits, { message: 'no' })
})

t.test('text is broken at blanks', async (t) => {
  const text = wrap('word '.repeat(60).trim(), '    ')
  t.ok(text.split('\n').every((line) => line.length <= MAX_COLUMNS && line.startsWith('    word')))
  t.equal(wrap('x'.repeat(200)), 'x'.repeat(200), 'a word is never broken')
})

t.test('an error', async (t) => {
  const cause = new Error('connect ECONNREFUSED')
  t.equal(
    explain(new CliError('no gateway', 'start it', { cause })),
    'flatnet: no gateway\n  because: connect ECONNREFUSED\n  next: start it\n',
  )
  t.equal(
    explain(new ConfigError(['a is 1', 'b is 2'])).split('\n').length,
    4,
    'shows every problem of a configuration',
  )
  t.match(
    explain(new TypeError('x is undefined')),
    /x is undefined\n {4}at /,
    'a fault of ours has its stack',
  )
  t.equal(explain('thrown text'), 'flatnet: thrown text\n')
})
