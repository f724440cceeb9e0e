/**
 * A program for tests: floods a UDP port. argv: address with port, datagrams a second, ms, content in hex. Without
 * content it sends garbage.
 */
import { randomFillSync } from 'node:crypto'
import { Arena, Iovecs } from '../../../kernel/arena.ts'
import { sockaddrBytes, writeSockaddr } from '../../../kernel/sockaddr.ts'
import { UdpSocket } from '../../../kernel/udp-socket.ts'

const [, , to = '', rate = '65000', forMs = '3000', hex = ''] = process.argv
const BATCH = 60
const content = Buffer.from(hex, 'hex')
const BYTES = content.length === 0 ? 120 : content.length

const arena = new Arena(4 << 20)
const socket = new UdpSocket(arena, { listen: '0.0.0.0:0' })
const garbage = arena.take(BATCH * BYTES)
const iovecs = new Iovecs(arena, BATCH)
const target = arena.take(sockaddrBytes(socket.family))
writeSockaddr(socket.family, to, target.bytes)
for (let i = 0; i < BATCH; i++) {
  iovecs.set(i, garbage, i * BYTES, BYTES)
  garbage.bytes.set(content, i * BYTES)
}

const since = performance.now()
let sent = 0
for (let ms = 0; ms < Number(forMs); ms = performance.now() - since) {
  if (sent >= (Number(rate) * ms) / 1_000) continue
  if (content.length === 0) randomFillSync(garbage.bytes)
  if (socket.send(iovecs, 0, BATCH, 1, BYTES, target) === 0) sent += BATCH
}
process.stdout.write(`${JSON.stringify({ sent, ms: Math.round(performance.now() - since) })}\n`)
socket.close()
