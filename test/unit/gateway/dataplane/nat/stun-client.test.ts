/** gateway/dataplane/nat/stun-client: when it asks, how often it sends again, and which answers count. */
import t from 'tap'
import { decodeStun, encodeStun } from '../../../../../gateway/dataplane/nat/stun.ts'
import { StunClient } from '../../../../../gateway/dataplane/nat/stun-client.ts'

const A = '192.0.2.1:3478'
const B = '[2001:db8::1]:3478'
const SEEN = '203.0.113.7:4711'

function makeClient() {
  let made = 0
  return new StunClient(() => (++made).toString(16).padStart(24, '0'))
}

const transactionOf = (bytes: Uint8Array): string => decodeStun(bytes)?.transaction ?? ''
const answerTo = (bytes: Uint8Array, mapped = SEEN): Uint8Array =>
  encodeStun({ kind: 'response', transaction: transactionOf(bytes), mapped })

/** All datagrams of this time, with the instants at which they went. */
function run(client: StunClient, from: number, to: number): { at: number; to: string; bytes: Uint8Array }[] {
  const sent = []
  for (let at = Math.max(from, client.nextAt); at <= to; at = client.nextAt)
    sent.push(...client.tick(at).map((datagram) => ({ at, ...datagram })))
  return sent
}

t.test(
  'a silent server is asked 5 times by RFC 8489, then again when the next question is due',
  async (t) => {
    const client = makeClient()
    client.useServers([A], 25_000, 0)
    const sent = run(client, 0, 26_000)
    t.same(
      sent.map(({ at }) => at),
      [0, 500, 1_500, 3_500, 7_500, 25_000, 25_500],
    )
    t.equal(new Set(sent.map(({ bytes }) => transactionOf(bytes))).size, 2, 'one transaction a question')
    t.same(client.mapped, [])
  },
)

t.test('questions to several servers are 20 ms apart, and an answer ends one', async (t) => {
  const client = makeClient()
  client.useServers([A, '[2001:db8:0:0::1]:3478', A], 25_000, 100)
  const [first, second, ...more] = run(client, 100, 599)
  t.match(
    [first, second],
    [
      { at: 100, to: A },
      { at: 120, to: B },
    ],
  )
  t.same(more, [])
  client.handleResponse(answerTo(first?.bytes ?? new Uint8Array()), A)
  t.same(client.mapped, [{ server: A, address: SEEN }])
  t.same(
    run(client, 600, 24_000).map(({ to }) => to),
    [B, B, B, B],
  )
  t.match(run(client, 24_001, 25_100), [{ at: 25_100, to: A }])
})

t.test('only the asked server counts, only its open transaction, and only once', async (t) => {
  const client = makeClient()
  client.useServers([A, B], 25_000, 0)
  const [toA, toB] = run(client, 0, 20)
  const [a, b] = [toA?.bytes ?? new Uint8Array(), toB?.bytes ?? new Uint8Array()]
  client.handleResponse(answerTo(a), '192.0.2.66:3478')
  client.handleResponse(answerTo(a), B)
  client.handleResponse(encodeStun({ kind: 'response', transaction: 'ff'.repeat(12), mapped: SEEN }), A)
  client.handleResponse(encodeStun({ kind: 'request', transaction: transactionOf(a), mapped: SEEN }), A)
  client.handleResponse(Uint8Array.of(1, 2, 3), A)
  t.same(client.mapped, [])
  client.handleResponse(answerTo(b), B)
  client.handleResponse(answerTo(b, '203.0.113.66:1'), B)
  t.same(client.mapped, [{ server: B, address: SEEN }], 'the second response to a request is ignored')
  t.equal(client.unasked, 4, 'counted are all but responses to B’s own request, and the request')
  client.handleResponse(encodeStun({ kind: 'error', transaction: transactionOf(a) }), A)
  t.same(run(client, 21, 24_000), [], 'an error ends the transaction')
})

t.test('a change of the network: asked at once, and what a server said stays until it fails', async (t) => {
  const client = makeClient()
  client.useServers([A], 25_000, 0)
  const [first] = run(client, 0, 0)
  client.handleResponse(answerTo(first?.bytes ?? new Uint8Array()), A)
  client.refresh(1_000)
  const again = run(client, 1_000, 16_499)
  t.equal(again.length, 5)
  t.equal(client.mapped.length, 1)
  run(client, 16_500, 16_500)
  t.same(client.mapped, [])
  client.handleResponse(answerTo(again.at(-1)?.bytes ?? new Uint8Array()), A)
  t.same(client.mapped, [], 'too late')
})

t.test('a shorter interval asks earlier, servers that stay keep their answers, others go', async (t) => {
  const client = makeClient()
  client.useServers([A, B], 300_000, 0)
  for (const { bytes, to } of run(client, 0, 20)) client.handleResponse(answerTo(bytes), to)
  t.equal(client.nextAt, 300_000)
  client.useServers([A], 25_000, 10_000)
  t.same(client.mapped, [{ server: A, address: SEEN }])
  t.equal(client.nextAt, 25_000)
  client.useServers([A], 25_000, 12_000)
  t.equal(client.nextAt, 25_000, 'the same order again changes nothing')
  client.useServers([A], 300_000, 13_000)
  client.useServers([A], 25_000, 14_000)
  t.equal(client.nextAt, 25_000, 'nor does a longer one in between')
  client.useServers([A], 300_000, 15_000)
  client.useServers([A], 25_000, 200_000)
  t.equal(client.nextAt, 200_000, 'never due in the past')
  client.useServers([], 25_000, 200_000)
  t.equal(client.nextAt, Number.POSITIVE_INFINITY)
})
