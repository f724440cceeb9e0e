/** Verdicts on packets: a table of one broken rule each, and no bytes that get past a second, slower judge. */
import fc from 'fast-check'
import t from 'tap'
import { type Ipv4, parseIpv4 } from '../../../../../core/addr.ts'
import {
  checkIncoming,
  checkOutgoing,
  destinationOf,
  Verdict,
} from '../../../../../gateway/dataplane/tunnel/check.ts'
import { dropReason } from '../../../../../gateway/dataplane/tunnel/drops.ts'
import { packet, tso, uso } from '../../../../helpers/cluster/tunnel-packet.ts'

const ip = (text: string): Ipv4 => parseIpv4(text) ?? 0
const HOST1 = { base: ip('10.100.1.0'), prefixLen: 24 }
const HOST2 = { base: ip('10.100.2.0'), prefixLen: 24 }

const incoming = (bytes: Uint8Array) => checkIncoming(bytes, 0, bytes.byteLength, HOST1, HOST2)
const name = (verdict: Verdict) => (verdict === Verdict.ok ? 'ok' : dropReason(verdict))

const long = (bytes: Uint8Array, more: number): Uint8Array => {
  const longer = new Uint8Array(bytes.byteLength + more)
  longer.set(bytes)
  return longer
}

const CASES: readonly [what: string, bytes: Uint8Array, verdict: keyof typeof Verdict][] = [
  ['a plain packet', packet(), 'ok'],
  ['a checksum known to be good', packet({ flags: 2 }), 'ok'],
  ['a checksum to be filled in', packet({ flags: 1, csumStart: 20, csumOffset: 6 }), 'ok'],
  ['TCP of several segments', tso(), 'ok'],
  ['the same with ECN', tso({ gsoType: 0x81 }), 'ok'],
  ['UDP of several segments', uso(), 'ok'],
  ['a fragment', packet({ fragment: 0x2001 }), 'ok'],
  ['a last fragment of one byte', packet({ fragment: 0x0010, payload: 1 }), 'ok'],
  ['options that choose no way', packet({ options: [1, 1, 148, 4, 0, 0, 0, 0] }), 'ok'],
  ['an option that is cut off', packet({ options: [1, 1, 1, 148] }), 'ok'],
  ['an option of length 0', packet({ options: [148, 0, 131, 3] }), 'ok'],
  ['the last address of the slice', packet({ dst: '10.100.2.255' }), 'ok'],
  ['the largest packet', packet({ payload: 65_515 }), 'ok'],

  ['nothing', new Uint8Array(0), 'short'],
  ['a virtio header alone', new Uint8Array(10), 'short'],
  ['19 bytes of IPv4', packet().subarray(0, 29), 'short'],
  ['options past the end', packet({ payload: 0, versionIhl: 0x46 }), 'short'],
  ['IPv6', packet({ versionIhl: 0x60 }), 'ipv6'],
  ['version 5', packet({ versionIhl: 0x55 }), 'version'],
  ['version 0', new Uint8Array(40), 'version'],
  ['IHL 4', packet({ versionIhl: 0x44 }), 'headerLength'],
  ['a total length one too large', packet({ totalLength: 49 }), 'totalLength'],
  ['a total length of 0', packet({ totalLength: 0 }), 'totalLength'],
  ['bytes behind the packet', long(packet(), 1), 'totalLength'],
  ['loose source route', packet({ options: [1, 131, 7, 4, 10, 0, 0, 1] }), 'sourceRoute'],
  ['strict source route', packet({ options: [137, 3, 4, 0] }), 'sourceRoute'],

  ['RSC', packet({ flags: 4 }), 'virtioFlags'],
  ['an unknown flag', packet({ flags: 0x80 }), 'virtioFlags'],
  ['a checksum both good and missing', packet({ flags: 3 }), 'virtioFlags'],
  ['headers longer than the packet', packet({ hdrLen: 49 }), 'virtioHeaderLength'],
  // The kernel would write the sum over the addresses after they were judged.
  ['a checksum into the IP header', packet({ flags: 1, csumStart: 0, csumOffset: 16 }), 'checksumPlace'],
  ['a sum that begins in the IP header', packet({ flags: 1, csumStart: 19, csumOffset: 6 }), 'checksumPlace'],
  [
    'a sum that begins in the options',
    packet({ flags: 1, csumStart: 20, csumOffset: 6, options: [1, 1, 1, 1] }),
    'checksumPlace',
  ],
  ['a checksum one byte past the end', packet({ flags: 1, csumStart: 20, csumOffset: 27 }), 'checksumPlace'],
  ['a checksum far out', packet({ flags: 1, csumStart: 65_535, csumOffset: 65_535 }), 'checksumPlace'],
  ['a place without the flag', packet({ csumStart: 65_535, csumOffset: 65_535 }), 'ok'],

  ['segmentation of IPv6', tso({ gsoType: 4 }), 'gsoType'],
  ['UFO', uso({ gsoType: 3 }), 'gsoType'],
  ['an unknown type', tso({ gsoType: 2 }), 'gsoType'],
  ['ECN of nothing', packet({ gsoType: 0x80 }), 'gsoType'],
  ['ECN of UDP', uso({ gsoType: 0x85 }), 'gsoType'],
  ['TCP segmentation of UDP', uso({ gsoType: 1 }), 'gsoType'],
  ['UDP segmentation of TCP', tso({ gsoType: 5 }), 'gsoType'],
  ['segmentation of ICMP', tso({ protocol: 1 }), 'gsoType'],
  ['segmentation without a checksum', tso({ flags: 0 }), 'gsoState'],
  ['segmentation of a first fragment', tso({ fragment: 0x2000 }), 'gsoState'],
  ['segmentation of a later fragment', uso({ fragment: 0x0001 }), 'gsoState'],
  ['TCP without its header', tso({ payload: 19, hdrLen: 0, csumOffset: 0 }), 'short'],
  ['a TCP header shorter than itself', tso({ tcpWords: 4 }), 'short'],
  ['a TCP header longer than the packet', tso({ payload: 24, tcpWords: 15 }), 'short'],
  ['UDP without its header', uso({ payload: 7, hdrLen: 0, csumOffset: 0 }), 'short'],
  // Once it is cut, a place that lay in the packet lies outside of its segments: the kernel has to trust it.
  ['a sum of TCP that begins behind its header', tso({ csumStart: 21 }), 'checksumPlace'],
  ['a sum of TCP far in the payload', tso({ csumStart: 3_000 }), 'checksumPlace'],
  ['a sum of TCP in the place of UDP', tso({ csumOffset: 6 }), 'checksumPlace'],
  ['a sum of UDP in the place of TCP', uso({ csumOffset: 16 }), 'checksumPlace'],
  ['a sum of UDP past its header', uso({ csumStart: 28 }), 'checksumPlace'],
  ['segments of 0 bytes', tso({ gsoSize: 0 }), 'gsoSize'],
  ['a size that is a word of the kernel', tso({ gsoSize: 0xffff }), 'gsoSize'],
  ['TCP segments of 7 bytes', tso({ gsoSize: 7 }), 'gsoSize'],
  ['TCP segments of 8 bytes', tso({ gsoSize: 8 }), 'ok'],
  ['UDP segments of 0 bytes', uso({ gsoSize: 0 }), 'gsoSize'],
  ['128 UDP segments', uso({ payload: 8 + 128 * 10, gsoSize: 10 }), 'ok'],
  ['129 UDP segments', uso({ payload: 8 + 128 * 10 + 1, gsoSize: 10 }), 'gsoSize'],

  ['a source of nobody', packet({ src: '192.0.2.1' }), 'foreignSource'],
  ['our own address as source', packet({ src: '10.100.2.10' }), 'foreignSource'],
  ["a third host's address as source", packet({ src: '10.100.3.10' }), 'foreignSource'],
  ['loopback as source', packet({ src: '127.0.0.1' }), 'foreignSource'],
  ["a third host's address as destination", packet({ dst: '10.100.3.10' }), 'foreignDestination'],
  ['a destination outside', packet({ dst: '192.0.2.1' }), 'foreignDestination'],
  ["the sender's own as destination", packet({ dst: '10.100.1.10' }), 'foreignDestination'],
  ['multicast', packet({ dst: '224.0.0.1' }), 'foreignDestination'],
]

for (const [what, bytes, verdict] of CASES)
  t.test(`from a peer: ${what} is ${verdict}`, async (t) => {
    t.equal(name(incoming(bytes)), verdict)
    const among = new Uint8Array(bytes.byteLength + 50).fill(0xee)
    among.set(bytes, 20)
    t.equal(
      name(checkIncoming(among, 20, 20 + bytes.byteLength, HOST1, HOST2)),
      verdict,
      'the same among other bytes',
    )
  })

t.test('from our own kernel: the source must be ours, the destination is looked up', async (t) => {
  const out = (bytes: Uint8Array) => name(checkOutgoing(bytes, 0, bytes.byteLength, HOST1))
  t.equal(out(packet()), 'ok')
  t.equal(out(packet({ dst: '192.0.2.1' })), 'ok')
  t.equal(out(packet({ src: '10.100.2.10' })), 'foreignSource')
  t.equal(out(packet({ versionIhl: 0x60 })), 'ipv6')
  t.equal(out(packet({ totalLength: 1 })), 'totalLength')
  t.equal(destinationOf(packet({ dst: '10.100.255.254' }), 0), ip('10.100.255.254'))
})

/** Says again in other words what an accepted packet must be, with numbers read by DataView. */
function isSound(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = bytes.byteLength - 10
  if (length < 20) return false
  const header = (view.getUint8(10) & 15) * 4
  const [flags, type] = [view.getUint8(0), view.getUint8(1)]
  const [hdrLen, size, start, offset] = [2, 4, 6, 8].map((at) => view.getUint16(at, true)) as [
    number,
    number,
    number,
    number,
  ]
  const inSlice = (at: number, host: number) => view.getUint32(at) >>> 8 === ((ip('10.100.0.0') >>> 8) | host)
  return (
    view.getUint8(10) >>> 4 === 4 &&
    header >= 20 &&
    header <= length &&
    view.getUint16(12) === length &&
    inSlice(22, 1) &&
    inSlice(26, 2) &&
    [0, 1, 2].includes(flags) &&
    hdrLen <= length &&
    (flags !== 1 || (start >= header && start + offset + 2 <= length)) &&
    [0, 1, 5, 0x81].includes(type) &&
    (type === 0 || (start === header && offset === (type === 5 ? 6 : 16) && size < 0xffff)) &&
    (type === 0 || (flags === 1 && size > 0 && (view.getUint16(16) & 0x3fff) === 0))
  )
}

t.test('arbitrary bytes never throw, and what is accepted is sound', async (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      (bytes) => incoming(bytes) !== Verdict.ok || isSound(bytes),
    ),
    { numRuns: 5_000 },
  )
  t.pass()
})

t.test('good packets with some bytes changed never throw, and what is accepted is sound', async (t) => {
  const change = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 255 }))
  const seed = fc.constantFrom(packet(), tso(), uso(), packet({ options: [1, 1, 1, 0] }))
  let accepted = 0
  fc.assert(
    fc.property(seed, fc.array(change, { maxLength: 4 }), fc.nat({ max: 4_100 }), (good, changes, cut) => {
      const bytes = good.slice(0, cut < 40 ? cut : undefined)
      for (const [at, value] of changes) if (at < bytes.byteLength) bytes[at] = value
      const verdict = incoming(bytes)
      checkOutgoing(bytes, 0, bytes.byteLength, HOST1)
      if (verdict === Verdict.ok) accepted++
      return verdict !== Verdict.ok || isSound(bytes)
    }),
    { numRuns: 20_000 },
  )
  t.ok(accepted > 1_000, `${accepted} were accepted: the property is not empty`)
})

t.test('an end past the buffer is refused instead of read', async (t) => {
  t.equal(name(checkIncoming(packet(), 0, 1_000, HOST1, HOST2)), 'short')
})
