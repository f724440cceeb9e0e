/** Messages of mDNS: what is read of strangers' bytes, and how what is sent is divided. */
import { decode, encode, type Packet } from 'dns-packet'
import t from 'tap'
import { encodeQueries, encodeResponses, readMessage } from '../../../../gateway/mdns/message.ts'
import { addressRecord, onlyAddressRecord } from '../../../../gateway/mdns/records.ts'

const query = (more: Partial<Packet> = {}): Buffer =>
  encode({ type: 'query', questions: [{ type: 'A', name: 'web.local', class: 'IN' }], ...more })

t.test('reading', (t) => {
  t.match(readMessage(query()), { isQuery: true, questions: [{ name: 'web.local', type: 'A' }] })
  const unicastWanted = query()
  unicastWanted.writeUInt16BE(0x8001, unicastWanted.length - 2)
  t.match(readMessage(unicastWanted), { questions: [{ name: 'web.local', type: 'A' }] })
  t.match(readMessage(query({ questions: [{ type: 'A', name: 'web.local', class: 'CH' }] })), {
    questions: [],
  })
  t.match(
    readMessage(encode({ type: 'response', answers: [{ type: 'A', name: 'web.local', data: '192.0.2.1' }] })),
    {
      isQuery: false,
      answers: [{ type: 'A', data: '192.0.2.1' }],
    },
  )
  t.end()
})

t.test('what is no message', (t) => {
  const claims = Buffer.alloc(12)
  claims.writeUInt16BE(0xffff, 6)
  const looping = Buffer.concat([query().subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])])
  const cases: readonly (readonly [string, Buffer])[] = [
    ['too short', Buffer.alloc(11)],
    ['longer than RFC 6762 allows', Buffer.concat([query(), Buffer.alloc(9_000)])],
    ['more records in the header than bytes could hold', claims],
    ['a name that points to itself', looping],
    ['cut', query().subarray(0, -3)],
    ['another opcode', query({ flags: 2 << 11 })],
    ['an error', query({ flags: 3 })],
  ]
  for (const [what, bytes] of cases) t.equal(readMessage(bytes), undefined, what)
  t.end()
})

t.test('what is sent fits a link', (t) => {
  const names = Array.from({ length: 40 }, (_, i) => `container-with-a-rather-long-name-${i}.local`)
  const pieces = names.map((name) => ({
    answers: [addressRecord({ name, address: '192.0.2.7' })],
    additionals: [onlyAddressRecord({ name })],
  }))
  const messages = encodeResponses(pieces)
  t.ok(
    messages.every(({ length }) => length <= 1_400),
    'none is longer than a frame',
  )
  t.ok(messages.length < 10, 'as few as they fit into')
  const read = messages.map((bytes) => decode(bytes))
  t.same(
    read.flatMap(({ answers = [] }) => answers.map((a) => a.name)),
    names,
  )
  t.match(read[0], { type: 'response', flag_aa: true, answers: [{ flush: true, ttl: 120 }] })
  t.match(read[0]?.additionals?.[0], { type: 'NSEC', data: { rrtypes: ['A'], nextDomain: names[0] } })
  t.same(encodeQueries([]), [], 'nothing to say')
  t.end()
})
