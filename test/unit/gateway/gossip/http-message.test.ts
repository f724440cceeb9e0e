/** gateway/gossip: requests and answers as text, there and back; nonsense is none. */
import t from 'tap'
import {
  type LateAnswer,
  type LateRequest,
  readAnswer,
  readRequest,
  writeAnswer,
  writeRequest,
} from '../../../../gateway/gossip/http-message.ts'

const id = '0123456789abcdef0123456789abcdef'
const request: LateRequest = {
  id,
  method: 'POST',
  path: '/a?b=ü',
  headers: ['Host', 'web', 'X-Two', 'a', 'x-two', 'b'],
  ip: '10.100.2.10',
  port: 80,
  body: Buffer.from([0, 10, 13, 255]),
}
const answer: LateAnswer = { id, status: 204, headers: ['A', 'b'], body: Buffer.from('\n\n') }

t.test('there and back', (t) => {
  t.same(readRequest(writeRequest(request)), request)
  t.same(readAnswer(writeAnswer(answer)), answer)
  t.same(readAnswer(writeAnswer({ id, problem: 'it is gone' })), { id, problem: 'it is gone' })
  t.end()
})

const wrongRequests: readonly Partial<Record<keyof LateRequest, unknown>>[] = [
  { id: 'x' },
  { id: 7 },
  { method: 'GET /' },
  { method: '' },
  { path: undefined },
  { headers: ['odd'] },
  { headers: ['a', 1] },
  { headers: Array(514).fill('a') },
  { ip: 7 },
  { port: 0 },
  { port: 1.5 },
]

for (const part of wrongRequests)
  t.test(`no request: ${JSON.stringify(part).slice(0, 40)}`, (t) => {
    t.equal(readRequest(writeRequest({ ...request, ...part } as LateRequest)), undefined)
    t.end()
  })

t.test('no answers', (t) => {
  for (const status of [0, 101, 199, 600, 200.5, '200'])
    t.equal(readAnswer(writeAnswer({ ...answer, status } as LateAnswer)), undefined, String(status))
  for (const text of [
    '',
    'x',
    '{}',
    '{}\n',
    '[]\n',
    'null\n',
    `{"id":"${id}"}\n`,
    '{"id":7,"problem":"x"}\n',
  ]) {
    t.equal(readAnswer(Buffer.from(text)), undefined, JSON.stringify(text))
    t.equal(readRequest(Buffer.from(text)), undefined, JSON.stringify(text))
  }
  t.end()
})
