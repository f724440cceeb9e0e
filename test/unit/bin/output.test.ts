/** Tables fit 100 columns, errors say what to do next, and foreign names cannot move the cursor. */
import t from 'tap'
import { CliError, explain, MAX_COLUMNS, table, wrap } from '../../../bin/cli/output.ts'
import { duration } from '../../../bin/cli/status.ts'
import { ConfigError } from '../../../core/errors.ts'

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

for (const [ms, text] of [
  [0, 'less than 1 s'],
  [61_000, '1 min 1 s'],
  [90_061_000, '1 d 1 h'],
] as const) {
  t.test(`${ms} ms is ${text}`, async (t) => {
    t.equal(duration(ms), text)
  })
}
