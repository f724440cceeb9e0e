/** gateway/dataplane/p2p: messages of peers, field by field, and the addresses that hosts offer. */
import t from 'tap'
import { Bucket } from '../../../../../gateway/base/bucket.ts'
import { isEndpoint } from '../../../../../gateway/dataplane/p2p/endpoints.ts'
import { MESSAGES } from '../../../../../gateway/dataplane/p2p/offer-inbox.ts'
import { OfferError, parseOffer } from '../../../../../gateway/dataplane/p2p/offers.ts'

const attempt = '0123456789abcdef'
const whole: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'p2p.request': { reason: 'resumed' },
  'p2p.offer': { attempt, generation: 3, candidates: ['192.0.2.1:7443', '[2001:db8::1]:7443'], version: 1 },
  'p2p.answer': { attempt, candidates: ['192.0.2.9:7443'], portMapped: '192.0.2.9:7443' },
  'p2p.candidates': { attempt, candidates: ['192.0.2.1:7443'] },
  'p2p.obstacle': { reason: 'P2P is off on this host (p2p.enabled)' },
  'p2p.refuse': { attempt, reason: 'off' },
  'p2p.promote': { attempt, generation: 4 },
  'p2p.promoted': { attempt, generation: 4 },
  'p2p.notReady': { attempt, generation: 4, reason: 'unproven' },
  'p2p.demote': { attempt, generation: 5, reason: 'slower' },
  'p2p.state': { generation: 5, isPromoted: false, attempt, retryInMs: 300_000 },
}
const WRONG: readonly unknown[] = [null, undefined, -1, 1.5, 2 ** 60, 'x'.repeat(201), {}, [{}], NaN]

t.test('whether UDP works at the peer is one of two words', async (t) => {
  const udpIn = (udp: unknown) => parseOffer({ type: 'p2p.answer', attempt, candidates: [], udp }).udp
  t.equal(udpIn('works'), 'works')
  t.equal(udpIn('silent'), 'silent')
  for (const other of [...WRONG, 'maybe', true]) t.equal(udpIn(other), undefined)
})

t.test('each message is understood, and nothing in it that is not known is kept', async (t) => {
  for (const [type, fields] of Object.entries(whole)) {
    const { message, candidates, portMapped } = parseOffer({ type, ...fields, extra: 'x' })
    if (type !== 'p2p.candidates' && type !== 'p2p.obstacle')
      t.notOk(message !== undefined && 'extra' in message, type)
    t.same(candidates, fields['candidates'], type)
    t.same(portMapped, fields['portMapped'], type)
  }
  t.same(parseOffer({ type: 'p2p.state', generation: 0, isPromoted: true }).message, {
    type: 'p2p.state',
    generation: 0,
    isPromoted: true,
  })
})

t.test('a field that is absent or wrong is named', async (t) => {
  const optional = new Set(['retryInMs', 'portMapped', 'attempt p2p.state'])
  for (const [type, fields] of Object.entries(whole))
    for (const key of Object.keys(fields))
      for (const wrong of WRONG) {
        if (wrong === undefined && (optional.has(key) || optional.has(`${key} ${type}`))) continue
        t.throws(() => parseOffer({ type, ...fields, [key]: wrong }), OfferError, `${type} ${key}`)
      }
  for (const [type, fields] of Object.entries(whole))
    if ('generation' in fields)
      t.throws(
        () => parseOffer({ type, ...fields, generation: 2 ** 32 }),
        { message: /^generation must be/ },
        type,
      )
  t.throws(() => parseOffer({ type: 'p2p.other' }), { message: 'its type is not known' })
  t.throws(() => parseOffer({ type: 'p2p.promote', attempt: 'ABC' }), {
    message: 'attempt must be 16 digits of hex',
  })
})

t.test("a peer's words are fit for a terminal", async (t) => {
  const { message } = parseOffer({ type: 'p2p.refuse', attempt, reason: 'a\u001b[2Jb' })
  t.match(message, { reason: 'a [2Jb' })
})

t.test('addresses', async (t) => {
  for (const good of ['192.0.2.1:7443', '[2001:db8::1]:1', '[::1]:65535']) t.ok(isEndpoint(good), good)
  for (const bad of [
    '192.0.2.1',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '256.0.0.1:1',
    '[::g]:1',
    '::1:1',
    'a:1',
    7,
  ])
    t.notOk(isEndpoint(bad), String(bad))
})

t.test('30 messages at once, then 5 a second', async (t) => {
  const budget = new Bucket(MESSAGES)
  const spend = (now: number): number =>
    Array.from({ length: 50 }, () => budget.spend(1, now)).filter(Boolean).length
  t.equal(spend(0), 30)
  t.equal(spend(1_000), 5)
  t.equal(spend(60_000), 30)
})
