/** DNS messages from strangers: read, refused or ignored; and answers that fit what the client takes. */

import { encode, type Packet, RECURSION_DESIRED } from 'dns-packet'
import fc from 'fast-check'
import t from 'tap'
import {
  encodeAnswer,
  encodeRefusal,
  isAnswerTo,
  judge,
  type Query,
  questionOf,
  rcodeOf,
} from '../../../../gateway/dns/message.ts'

const question = (name: string, more: Partial<Packet> = {}): Buffer =>
  encode({
    type: 'query',
    id: 7,
    flags: RECURSION_DESIRED,
    questions: [{ type: 'A', name }],
    ...more,
  })
const query = (bytes: Buffer): Query => {
  const judged = judge(bytes)
  if (judged.kind !== 'query') throw new Error(judged.kind)
  return judged.query
}
/** A header with these flags and counts, and nothing behind it. */
const header = (flags: number, ...counts: number[]): Buffer =>
  Buffer.from([7, flags, ...counts].flatMap((n) => [n >> 8, n & 0xff]))

t.test('a question', (t) => {
  t.same(query(question('wEb')), {
    id: 7,
    name: 'wEb',
    type: 'A',
    class: 'IN',
    ednsSize: undefined,
    flags: RECURSION_DESIRED,
  })
  t.end()
})

t.test('what is no question', (t) => {
  t.same(judge(Buffer.alloc(11)), { kind: 'ignored' }, 'too short')
  t.same(judge(header(0x8000, 1, 0, 0, 0)), { kind: 'ignored' }, 'an answer')
  t.same(judge(header(0x2000, 1, 0, 0, 0)), { kind: 'refused', rcode: 'NOTIMP' }, 'NOTIFY')
  t.same(judge(header(0, 0, 0, 0, 0)), { kind: 'refused', rcode: 'FORMERR' }, 'none')
  t.same(judge(header(0, 2, 0, 0, 0)), { kind: 'refused', rcode: 'FORMERR' }, 'two')
  t.same(judge(header(0, 1, 0, 0, 0)), { kind: 'refused', rcode: 'FORMERR' }, 'its name is missing')
  t.same(
    judge(header(0, 1, 0xffff, 0xffff, 0xffff)),
    { kind: 'refused', rcode: 'FORMERR' },
    'counts that lie',
  )
  t.same(encodeRefusal(header(0x0100, 9, 9, 9, 9), 'FORMERR'), header(0x8101, 0, 0, 0, 0))
  t.end()
})

t.test('no bytes make it throw', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (tail, isHeaded) => {
      const bytes = Buffer.concat([isHeaded ? header(0, 1, 0, 0, 1) : Buffer.alloc(0), tail])
      const judged = judge(bytes)
      if (judged.kind === 'query') encodeAnswer(judged.query, { rcode: 'NXDOMAIN' }, false)
      questionOf(bytes)
    }),
    { numRuns: 2_000 },
  )
  t.end()
})

t.test('the answer has id, question in its case, RD, and EDNS only for a client that has it', (t) => {
  const plain = encodeAnswer(query(question('wEb')), { rcode: 'NOERROR', isOurs: true }, false)
  t.equal(plain.readUInt16BE(0), 7)
  t.equal(plain.readUInt16BE(2), 0x8580, 'QR, AA, RD, RA')
  t.same(questionOf(plain), questionOf(question('wEb')))
  t.equal(plain.readUInt16BE(10), 0)
  const opt = { type: 'OPT', name: '.', udpPayloadSize: 4096, flags: 0, options: [] } as never
  const edns = query(question('web', { additionals: [opt] }))
  t.equal(edns.ednsSize, 4096)
  t.equal(encodeAnswer(edns, { rcode: 'NOERROR' }, false).readUInt16BE(10), 1)
  t.end()
})

t.test('an answer that is too long by UDP is cut, with TC', (t) => {
  const data = Array.from({ length: 5 }, () => 'x'.repeat(200))
  const content = { rcode: 'NOERROR', answers: [{ type: 'TXT', name: 'web', data }] } as const
  const asked = query(question('web'))
  const cut = encodeAnswer(asked, content, false)
  t.ok(cut.length <= 512)
  t.equal(cut.readUInt16BE(2) & 0x0200, 0x0200)
  t.ok(encodeAnswer(asked, content, true).length > 1_000, 'by TCP it is whole')
  t.ok(encodeAnswer({ ...asked, ednsSize: 4_096 }, content, false).length > 1_000, 'and with EDNS')
  t.equal(encodeAnswer({ ...asked, ednsSize: 1 }, content, false).readUInt16BE(2) & 0x0200, 0x0200)
  t.end()
})

t.test('which answers belong to a question', (t) => {
  const request = question('web.example')
  const reply = (name: string, more: Partial<Packet> = {}): Buffer =>
    encode({ type: 'response', id: 9, questions: [{ type: 'A', name }], ...more })
  t.ok(isAnswerTo(request, reply('web.example'), 9))
  t.ok(isAnswerTo(request, reply('WEB.example'), 9), 'servers may change the case')
  t.notOk(isAnswerTo(request, reply('web.example'), 8), 'another id')
  t.notOk(isAnswerTo(request, reply('web.example', { type: 'query' }), 9), 'a question')
  t.notOk(isAnswerTo(request, reply('bank.example'), 9), 'another name')
  t.notOk(isAnswerTo(request, reply('', { questions: [] }), 9), 'no question')
  t.notOk(
    isAnswerTo(request, reply('web.example', { questions: [{ type: 'AAAA', name: 'web.example' }] }), 9),
    'another type',
  )
  t.notOk(isAnswerTo(request, Buffer.alloc(4), 9), 'too short')
  t.equal(rcodeOf(encodeAnswer(query(request), { rcode: 'SERVFAIL' }, false)), 2)
  t.end()
})
