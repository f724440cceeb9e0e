/** gateway/dataplane/p2p/process/stun-answers: only plain questions, briefly, and not too many. */
import t from 'tap'
import { decodeStun, encodeStun } from '../../../../../../gateway/dataplane/nat/stun.ts'
import { StunAnswers } from '../../../../../../gateway/dataplane/p2p/process/stun-answers.ts'

const transaction = 'b7e7a701bc34d686fa87dfae'
const QUESTION = encodeStun({ kind: 'request', transaction })

t.test('a question gets the address that it came from', async (t) => {
  const answers = new StunAnswers(() => 0)
  for (const from of ['192.0.2.7:5', '[2001:db8::7]:65535']) {
    const answer = answers.answer(QUESTION, from) ?? new Uint8Array()
    t.match(decodeStun(answer), { kind: 'response', transaction, mapped: from })
    t.ok(answer.byteLength <= 52, `${answer.byteLength} bytes`)
  }
})

t.test('anything else gets no answer', async (t) => {
  const answers = new StunAnswers(() => 0)
  const response = encodeStun({ kind: 'response', transaction, mapped: '192.0.2.7:5' })
  const change = encodeStun({ kind: 'request', transaction, change: { address: true, port: true } })
  for (const bytes of [response, change, QUESTION.subarray(0, 27), new Uint8Array(28)])
    t.equal(answers.answer(bytes, '192.0.2.7:5'), undefined)
})

t.test('a source gets 20 answers in a second, all together 200', async (t) => {
  let now = 0
  const answers = new StunAnswers(() => now)
  const answered = (from: (i: number) => string, questions: number): number =>
    Array.from({ length: questions }, (_, i) => answers.answer(QUESTION, from(i))).filter(
      (a) => a !== undefined,
    ).length
  t.equal(
    answered((i) => `192.0.2.7:${i + 1}`, 100),
    20,
  )
  t.equal(
    answered((i) => `10.0.${i >> 8}.${i & 255}:7`, 1_000),
    180,
  )
  now = 1_000
  t.equal(
    answered((i) => `192.0.2.7:${i + 1}`, 100),
    20,
  )
})
