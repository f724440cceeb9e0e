/** Which requests go to a container again, as a table: each row names its rule. */

import t from 'tap'
import {
  afterFailure,
  type FailedTry,
  isEarlyClose,
  isRepeatable,
  mayReuse,
  type Outcome,
} from '../../../../gateway/ingress/retry.ts'

t.test('what may be executed twice', async (t) => {
  const plain = { hasBody: false, isUpgrade: false }
  for (const method of ['GET', 'HEAD', 'OPTIONS']) {
    t.ok(isRepeatable({ ...plain, method }), `${method} is safe`)
    t.notOk(isRepeatable({ ...plain, method, hasBody: true }), `${method} with a body: the body is gone`)
    t.notOk(isRepeatable({ ...plain, method, isUpgrade: true }), `${method} to upgrade: it may have begun`)
  }
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'LIST', 'get', ''])
    t.notOk(isRepeatable({ ...plain, method }), `${method || 'no method'} is not known to be safe`)
})

t.test('which try may use a connection that served before', async (t) => {
  for (const [rule, tries, isRepeatable, isProbed, expected] of [
    ['a repeatable request may be lost and sent again', 0, true, false, true],
    ['a POST must not be lost: not without a look at the connection', 0, false, false, false],
    ['a POST goes out on a connection that was probed', 0, false, true, true],
    ['the second try takes no chance', 1, true, true, false],
  ] as const)
    t.equal(mayReuse({ tries, isRepeatable, isProbed }), expected, rule)
})

/** A GET whose connection broke at once, on its first try. */
const lost: FailedTry = {
  isRepeatable: true,
  tries: 1,
  hadBytes: false,
  isAnswered: false,
  elapsedMs: 5,
  limitMs: 1000,
}

const cases: readonly [rule: string, facts: Partial<FailedTry>, outcome: Outcome][] = [
  ['a repeatable request without a byte of an answer goes again', {}, 'again'],
  ['right up to the limit', { elapsedMs: 999 }, 'again'],
  ['at most two tries', { tries: 2 }, 'fail'],
  ['what is not repeatable never goes again', { isRepeatable: false }, 'fail'],
  ['a byte of an answer: the container has executed it', { hadBytes: true }, 'fail'],
  ['no answer in time: the container may be at work on it', { elapsedMs: 1000 }, 'fail'],
  ['the client has a part: no page behind it', { isAnswered: true, hadBytes: true }, 'broken'],
  ['not on a last try either', { isAnswered: true, hadBytes: true, tries: 2 }, 'broken'],
  ['nor of a POST', { isAnswered: true, hadBytes: true, isRepeatable: false }, 'broken'],
  ['nor after any time', { isAnswered: true, hadBytes: true, elapsedMs: 5000 }, 'broken'],
]
for (const [rule, facts, outcome] of cases)
  t.test(rule, async (t) => t.equal(afterFailure({ ...lost, ...facts }), outcome))

t.test('the pool hears of connections that a server closed early', async (t) => {
  t.ok(isEarlyClose({ isReused: true, hadBytes: false }))
  t.notOk(isEarlyClose({ isReused: true, hadBytes: true }), 'it broke off an answer')
  t.notOk(isEarlyClose({ isReused: false, hadBytes: false }), 'it never served')
})
