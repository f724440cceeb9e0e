/** The reader behind bin/test's last line: nothing that failed, was skipped or never ran may be lost in it. */
import t from 'tap'
import { TapReader } from '../../helpers/run/tap-reader.ts'

function read(text: string, exitCode = 0) {
  const files: string[] = []
  const reader = new TapReader((file, ok) => files.push(`${ok ? 'ok' : 'not ok'} ${file}`))
  for (const line of text.split('\n')) reader.line(line)
  return { ...reader.end(exitCode), files }
}

/** As tap 21 prints it: assertions four blanks deep for each level, a summary of the leaves at the end. */
const RUN = `TAP version 14
1..2
# Subtest: test/unit/a.test.ts
    # Subtest: outer
        ok 1 - fine
        # note: said at the end
        not ok 2 - broken
          ---
          diff: |
            -0
            +1
          ...
        ok 3 - later # SKIP no root
        ok 4 - nameless reason # SKIP
        ok 5 - someday # TODO
        1..5
    not ok 1 - outer # time=8.586ms
    1..1
    # time=12.1ms
not ok 1 - test/unit/a.test.ts # time=3012.1ms
# Subtest: test/unit/b.test.ts
    ok 1 - fine
    1..1
ok 2 - test/unit/b.test.ts # time=5.5ms

# No coverage generated
# { total: 6, pass: 2, fail: 1, todo: 1, skip: 2 }
# time=3452.436ms`

t.test('a run with everything in it', async (t) => {
  const seen = read(RUN, 1)
  t.match(seen, { passed: 2, failed: 1 })
  t.strictSame(seen.skips, ['no root', 'nameless reason (no reason given)', 'someday (no reason given)'])
  t.strictSame(seen.notes, ['said at the end'])
  t.strictSame(seen.files, ['not ok test/unit/a.test.ts', 'ok test/unit/b.test.ts'])
  t.equal(seen.failures.length, 1, 'told once, not again for its parents')
  t.match(seen.failures[0], /^test\/unit\/a\.test\.ts > outer > broken\n[\s\S]*\+1/)
})

t.test('a file that is skipped as a whole is told', async (t) => {
  const text = 'ok 1 - test/x.test.ts # SKIP needs root\n# { total: 1, skip: 1 }'
  t.match(read(text), { passed: 0, failed: 0, skips: ['needs root'] })
})

t.test('parallel files come in braces', async (t) => {
  const text = 'ok 1 - test/x.test.ts # time=51.1ms {\n    ok 1 - fine\n}\n# { total: 1, pass: 1 }'
  const seen = read(text)
  t.match(seen, { passed: 1, failed: 0 })
  t.strictSame(seen.files, ['ok test/x.test.ts'])
})

t.test('set-up is told apart from the test', async (t) => {
  const took: string[] = []
  const reader = new TapReader((_, __, text) => took.push(text))
  for (const line of [
    '    # Subtest: two sets of hosts',
    '        # setup: 1200 ms',
    '        # setup: 900 ms',
    'ok 1 - test/hosts/a.test.ts # time=12300ms',
    'ok 2 - test/hosts/b.test.ts # time=700ms',
  ])
    reader.line(line)
  t.strictSame(took, [' (12.3 s: setup 2.1, test 10.2)', ' (0.7 s)'])
})

t.test('what must never look like success', async (t) => {
  t.equal(read('TAP version 14', 1).failed, 1, 'tap died before it said anything')
  t.equal(read('TAP version 14\nok 1 - test/x.test.ts', 0).failed, 1, 'no summary')
  t.equal(read('# { total: 3, pass: 3 }', 1).failed, 1, 'all passed, and yet tap failed')
  t.equal(read('# { total: 3, pass: 3 }', 128).failed, 1, 'killed by a signal')
  t.equal(read('# { total: 0 }', 0).failed, 1, 'no test ran')
})
