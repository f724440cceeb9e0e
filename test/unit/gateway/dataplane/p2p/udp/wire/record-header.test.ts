/**
 * Heads of pieces: what may be cut, and that sums, lengths, sequence and flags are right for any piece of any packet.
 */
import fc from 'fast-check'
import t from 'tap'
import {
  headerLength,
  payloadOf,
  rebuildHeader,
  segmentSizeOf,
} from '../../../../../../../gateway/dataplane/p2p/udp/wire/record-header.ts'
import { bytesOf } from '../../../../../../helpers/cluster/plane-memory-net.ts'
import { parsed, tcpPacket, udpPacket } from '../../../../../../helpers/cluster/super-packet.ts'

t.test('any piece is a packet of its own', async () => {
  const options = fc.constantFrom<readonly number[]>([], [1, 1, 1, 0], [7, 7, 4, 0, 0, 0, 0, 0])
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.integer({ min: 2_000, max: 60_000 }),
      fc.integer({ min: 5, max: 15 }),
      fc.integer({ min: 0, max: 59_999 }),
      fc.integer({ min: 1, max: 60_000 }),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.integer({ min: 0, max: 63 }),
      options,
      (isTcp, length, words, start, most, sequence, before, ipOptions) => {
        const ihl = 20 + ipOptions.length
        const data = bytesOf(length)
        const common = { data, options: ipOptions, csumStart: ihl, id: 65_530, mss: 1_000 }
        // tcpPacket and udpPacket lay out a header of 20 bytes: options only where they do not matter.
        const whole =
          isTcp && ipOptions.length === 0
            ? tcpPacket({ ...common, tcpHeader: words * 4, sequence, tcpFlags: 0x99 })
            : udpPacket({ data, id: 65_530, mss: 1_000 })
        const tcp = whole[19] === 6
        const header = headerLength(whole, 0, whole.byteLength)
        if (header !== (tcp ? 30 + words * 4 : 38) || payloadOf(whole, 0, header) !== length) return false
        const offset = start % length
        const size = Math.min(most, length - offset)
        const isLast = offset + size === length
        const piece = Buffer.concat([
          whole.subarray(0, header),
          whole.subarray(header + offset, header + offset + size),
        ])
        rebuildHeader(piece, 0, header, { offset, size, isLast, before })
        const got = parsed(piece)
        return (
          got.isRight &&
          got.id === ((65_530 + before) & 0xffff) &&
          got.data.byteLength === size &&
          got.gsoType === (size > 1_000 ? whole[1] : 0) &&
          (!tcp || got.sequence === (sequence + offset) >>> 0) &&
          (!tcp || got.flags === (0x10 | (isLast ? 0x09 : 0) | (offset === 0 ? 0x80 : 0)))
        )
      },
    ),
    { numRuns: 300 },
  )
})

t.test('what is not to be cut has no header', async (t) => {
  const tcp = tcpPacket({ data: bytesOf(5_000) })
  const with_ = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(tcp)
    change(bytes)
    return headerLength(bytes, 0, bytes.byteLength)
  }
  t.equal(headerLength(tcp, 0, tcp.byteLength), 62)
  t.equal(segmentSizeOf(tcp, 0), 1_448)
  t.equal(
    with_((b) => b.writeUInt8(0, 0)),
    0,
    'no checksum to fill in',
  )
  t.equal(
    with_((b) => b.writeUInt8(0, 1)),
    0,
    'no super-packet',
  )
  t.equal(
    with_((b) => b.writeUInt8(4, 1)),
    0,
    'of IPv6',
  )
  t.equal(
    with_((b) => b.writeUInt8(0x65, 10)),
    0,
    'version 6',
  )
  t.equal(
    with_((b) => b.writeUInt8(0x44, 10)),
    0,
    'a header of 16 bytes',
  )
  t.equal(
    with_((b) => b.writeUInt8(17, 19)),
    0,
    'TCP segmentation of UDP',
  )
  t.equal(
    with_((b) => b.writeUInt8(0x40, 10 + 20 + 12)),
    0,
    'a TCP header of 16 bytes',
  )
  for (let length = 0; length < 62; length++) t.equal(headerLength(tcp, 0, length), 0, `cut at ${length}`)
  t.equal(headerLength(tcp, 0, 62), 62)
})
