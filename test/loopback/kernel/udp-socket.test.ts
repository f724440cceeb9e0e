/**
 * The UDP socket of the P2P path on loopback: with and without offloads, both families, and what it says when it
 * cannot.
 */
import t from 'tap'
import { Arena, Iovecs } from '../../../kernel/arena.ts'
import { Poller } from '../../../kernel/poller.ts'
import { sockaddrBytes, writeSockaddr } from '../../../kernel/sockaddr.ts'
import { UdpSocket } from '../../../kernel/udp-socket.ts'

const HEADER = 8
/** All bytes of a datagram in the slot. */
function datagram({ slots }: UdpSocket, slot: number): Buffer {
  const length = slots.lengths[slot]!
  const at = slot * HEADER
  const header = Buffer.from(slots.headers.bytes.subarray(at, at + Math.min(HEADER, length)))
  const from = slots.textAt(slot)
  const text = slots.texts.bytes.subarray(from, from + Math.max(0, length - HEADER))
  return Buffer.concat([header, text])
}

function pair(options: { gso?: boolean; gro?: boolean }, host = '127.0.0.1') {
  const arena = new Arena(3 << 20)
  const sender = new UdpSocket(arena, { listen: `${host}:0`, ...options })
  const receiver = new UdpSocket(arena, { listen: `${host}:0`, ...options })
  const to = arena.take(28)
  writeSockaddr(sender.family, receiver.address, to.bytes)
  const out = arena.take(70_000)
  for (let i = 0; i < out.length; i++) out.bytes[i] = (i * 7) >> 3
  const iovecs = new Iovecs(arena, 64)
  const poller = new Poller(arena, 1)
  poller.watch(0, receiver.fd)
  /** Sends datagrams of these lengths in one call. */
  const send = (lengths: readonly number[]): number => {
    let at = 0
    for (const [i, length] of lengths.entries()) {
      iovecs.set(i, out, at, length)
      at += length
    }
    return sender.send(iovecs, 0, lengths.length, 1, lengths[0]!, to)
  }
  const receive = (count: number): Buffer[] => {
    const got: Buffer[] = []
    for (let turns = 0; got.length < count && turns < 1_000; turns++) {
      const batch = receiver.receive(0, () => {})
      if (batch.count === 0) poller.wait(100)
      for (let i = 0; i < batch.count; i++) got.push(datagram(receiver, batch.first + i))
    }
    return got
  }
  const expected = (lengths: readonly number[]): Buffer[] => {
    let at = 0
    return lengths.map((length) => {
      at += length
      return Buffer.from(out.bytes.subarray(at - length, at))
    })
  }
  const close = () => {
    sender.close()
    receiver.close()
    arena.close()
  }
  return { sender, receiver, send, receive, expected, close, to }
}

for (const host of ['127.0.0.1', '[::1]'])
  for (const gso of [true, false])
    for (const gro of [true, false])
      t.test(`${host}, GSO ${gso}, GRO ${gro}`, async (t) => {
        const p = pair({ gso, gro }, host)
        t.teardown(p.close)
        for (const lengths of [
          [1_472],
          [3],
          [1_472, 1_472, 1_472, 5],
          new Array(44).fill(1_472),
          [100, 100, 50],
          [1_200, 1_200],
        ]) {
          t.equal(p.send(lengths), 0)
          t.same(p.receive(lengths.length), p.expected(lengths), lengths.slice(0, 4).join(' '))
        }
        t.equal(
          Buffer.compare(
            p.receiver.slots.source(0).subarray(0, sockaddrBytes(p.receiver.family)),
            source(p.sender),
          ),
          0,
        )
      })

/** As the receiver sees it. */
function source(sender: UdpSocket): Uint8Array {
  const bytes = new Uint8Array(sockaddrBytes(sender.family))
  writeSockaddr(sender.family, sender.address, bytes)
  return bytes
}

t.test('larger datagrams than the layout has room for', async (t) => {
  for (const gro of [true, false]) {
    const p = pair({ gro })
    t.teardown(p.close)
    t.equal(p.send([8_000]), 0)
    if (!gro) {
      t.match(p.receive(1), [{ byteLength: 0 }], 'the first is cut and says so by its length')
      t.equal(p.send([8_000]), 0)
    }
    t.same(p.receive(1), p.expected([8_000]))
    t.equal(p.receiver.slots.segmentBytes, 8_000)
    t.equal(p.send([1_472, 1_472, 7]), 0)
    t.same(p.receive(3), p.expected([1_472, 1_472, 7]))
  }
})

t.test('what cannot be sent: the errno, and nothing is fragmented', async (t) => {
  const p = pair({})
  t.teardown(p.close)
  t.equal(p.send([65_508]), 90, 'EMSGSIZE')
  writeSockaddr(p.sender.family, '255.255.255.255:9', p.to.bytes)
  t.equal(p.send([10]), 13, 'EACCES: broadcast')
})

t.test('how much one send takes', async (t) => {
  const p = pair({})
  t.teardown(p.close)
  t.equal(p.sender.maxSegments(1_472), 44)
  t.equal(p.sender.maxSegments(1_100), 59)
  t.equal(p.sender.maxSegments(900), 64)
  t.equal(p.sender.maxSegments(9_000), 7)
})

t.test("a port that is taken, an address that is another host's, and what is no address", async (t) => {
  const p = pair({})
  t.teardown(p.close)
  const arena = new Arena(1 << 20)
  t.throws(() => new UdpSocket(arena, { listen: p.sender.address }), {
    code: 'ERR_FLATNET_NOT_READY',
    message: `UDP ${p.sender.address} is in use: free it, or choose another p2p.listen`,
  })
  t.throws(() => new UdpSocket(arena, { listen: '192.0.2.1:7443' }), {
    code: 'ERR_FLATNET_CONFIG',
    message: /p2p\.listen 192\.0\.2\.1:7443: this host does not have that address/,
  })
  t.throws(() => new UdpSocket(arena, { listen: 'everywhere' }), /write 192\.0\.2\.1:7443/)
})
