/** Control datagrams and endpoints, as bytes and back. */
import fc from 'fast-check'
import t from 'tap'
import {
  headersOf,
  ipBytes,
  isInNetworks,
  parseEndpoint,
} from '../../../../../../gateway/dataplane/p2p/process/endpoint.ts'
import {
  decodeAnswer,
  decodeProbe,
  decodeRekey,
  encodeAnswer,
  encodeProbe,
  encodeRekey,
  PROBE_KINDS,
} from '../../../../../../gateway/dataplane/p2p/process/messages.ts'

const probe = { kind: 'mtu', token: 0xdead_beef, seq: 4_000_000_000, lossRate: 0.125 } as const

t.test('a probe comes back, also from a padded datagram', async (t) => {
  const heard = { ...probe, takesQuestion: true }
  t.same(decodeProbe(encodeProbe(probe)), heard)
  t.same(decodeProbe(Buffer.concat([encodeProbe(probe), Buffer.alloc(900)])), heard)
  for (const kind of PROBE_KINDS) t.equal(decodeProbe(encodeProbe({ ...probe, kind }))?.kind, kind)
})

t.test('an answer comes back and is no longer than its probe', async (t) => {
  for (const observed of ['192.0.2.1:7443', '[2001:db8::1]:65535', '[::]:1', undefined]) {
    const answer = { ...probe, observed, rxDatagrams: 2 ** 40, rxBytes: 2 ** 50, question: undefined }
    t.same(decodeAnswer(encodeAnswer(answer)), answer, observed ?? 'none')
    t.equal(encodeAnswer(answer).byteLength, encodeProbe(probe).byteLength)
  }
})

const QUESTION = { token: 0x0123_4567, seq: 0xffff_ffff }
const ASKING = { ...probe, observed: '192.0.2.1:7443', rxDatagrams: 3, rxBytes: 4, question: QUESTION }

t.test('an answer may ask in turn, also in a padded datagram, and the next one asks nothing', async (t) => {
  const bytes = Buffer.from(encodeAnswer(ASKING))
  t.equal(bytes.byteLength, 56)
  t.same(decodeAnswer(bytes), ASKING)
  t.same(decodeAnswer(Buffer.concat([bytes, Buffer.alloc(900)])), ASKING)
  t.equal(decodeAnswer(bytes.subarray(0, 55))?.question, undefined)
  const { question: _, ...plain } = ASKING
  t.equal(decodeAnswer(Buffer.concat([encodeAnswer(plain), Buffer.alloc(900)]))?.question, undefined)
})

t.test(
  'a version before questions sets no flags: it is not asked, and sees an answer in one that asks',
  async (t) => {
    const before = Buffer.from(encodeProbe(probe)).fill(0, 1, 2)
    t.equal(decodeProbe(before)?.takesQuestion, false)
    // It reads the first 48 bytes, and takes the rest for padding.
    const read = decodeAnswer(Buffer.from(encodeAnswer(ASKING)).subarray(0, 48))
    t.same(read, { ...ASKING, question: undefined })
  },
)

t.test('bytes that are no message are none', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      decodeProbe(bytes)
      const answer = decodeAnswer(bytes)
      if (answer !== undefined && !(answer.rxBytes >= 0 && answer.lossRate <= 1))
        throw new Error('out of bounds')
      if (decodeRekey(bytes) !== undefined && bytes.byteLength !== 36) throw new Error('another length')
    }),
  )
})

t.test('a short probe, a kind that does not exist and a loss above 1 are refused', async (t) => {
  t.equal(decodeProbe(encodeProbe(probe).subarray(1)), undefined)
  t.equal(decodeProbe(encodeProbe(probe).fill(9, 0, 1)), undefined)
  t.equal(decodeProbe(encodeProbe(probe).fill(255, 10, 12)), undefined)
})

t.test('a rekey message comes back', async (t) => {
  const message = { epoch: 7, publicKey: new Uint8Array(32).fill(3) }
  t.same(decodeRekey(encodeRekey(message)), message)
})

t.test('endpoints', async (t) => {
  const cases: [text: string, hex: string | undefined][] = [
    ['192.0.2.1:7443', 'c0000201'],
    ['[2001:db8::1]:7443', '20010db8000000000000000000000001'],
    ['[::]:1', '00000000000000000000000000000000'],
    ['[1:2:3:4:5:6:7:8]:1', '00010002000300040005000600070008'],
    ['[fe80::1%3]:7443', 'fe800000000000000000000000000001'],
    ['[::ffff:192.0.2.1]:7443', '00000000000000000000ffffc0000201'],
    ['192.0.2.1:0', undefined],
    ['192.0.2.1:65536', undefined],
    ['192.0.2.256:1', undefined],
    ['[1::2::3]:1', undefined],
    ['host:1', undefined],
    ['192.0.2.1', undefined],
  ]
  for (const [text, hex] of cases) t.equal(parseEndpoint(text)?.ip.toHex(), hex, text)
  t.equal(headersOf('192.0.2.1:7443'), 28)
  t.equal(headersOf('[2001:db8::1]:7443'), 48)
})

t.test('bytes to text, as RFC 5952 has it', async (t) => {
  for (const text of ['192.0.2.1', '2001:db8::1', '::', '::1', '1::', '1:0:2::3', '1:2:3:4:5:6:7:0'])
    t.equal(
      ipBytes(parseEndpoint(text.includes(':') ? `[${text}]:1` : `${text}:1`)?.ip ?? new Uint8Array(4)),
      text,
    )
})

t.test('what is in a network of this host is LAN', async (t) => {
  const networks = ['[fd00::1]:1', '10.1.2.3:1'].map((text, i) => ({
    address: parseEndpoint(text)?.ip ?? new Uint8Array(4),
    prefixLen: i === 0 ? 64 : 20,
  }))
  const cases: [string, boolean][] = [
    ['10.1.15.255:7443', true],
    ['10.1.16.0:7443', false],
    ['[fd00::ffff]:7443', true],
    ['[fd00:0:0:1::1]:7443', false],
    ['nonsense', false],
  ]
  for (const [text, is] of cases) t.equal(isInNetworks(networks, text), is, text)
})
