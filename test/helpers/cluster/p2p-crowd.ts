/**
 * A program for tests: many peers of one host in one process, each with its own plane and socket but no device.
 *
 * argv: hostId of the host under test, its address, first and last hostId of the crowd, secret in hex.
 */
import { silentLog } from '../../../core/log.ts'
import { Sessions } from '../../../gateway/dataplane/p2p/process/sessions.ts'
import { testedAead } from '../../../gateway/dataplane/p2p/udp/crypto/self-test.ts'
import { Plane } from '../../../gateway/dataplane/p2p/udp/plane.ts'
import { PLANE_MEMORY } from '../../../gateway/dataplane/p2p/udp/plane-options.ts'
import { Arena } from '../../../kernel/arena.ts'
import { Poller } from '../../../kernel/poller.ts'
import { UdpSocket } from '../../../kernel/udp-socket.ts'

const EAGAIN = -11
const [, , hub = '1', address = '', first = '2', last = '254', secret = '', attempt = ''] = process.argv

interface Peer {
  readonly now: () => number
  readonly plane: Plane
  readonly sessions: Sessions
  readonly fd: number
}

function open(hostId: number): Peer {
  // Each host has its own clock: otherwise all would probe at once, and their probes would come in one batch.
  const now = (): number => performance.now() + hostId * 17.3
  // NTP keeps clocks within some milliseconds: here within 10.
  const clockOffMs = ((hostId * 7_919) % 21) - 10
  const arena = new Arena(PLANE_MEMORY + 65_536)
  const tested = testedAead(arena)
  if ('problem' in tested) throw new Error(tested.problem)
  const udp = new UdpSocket(arena, { listen: `0.0.0.0:${8_000 + hostId}` })
  let sessions: Sessions | undefined
  const plane = new Plane({
    hostId,
    supernet: { base: 0x0a640000, prefixLen: 16 },
    hostPrefix: 24,
    arena,
    aead: tested.aead,
    udp,
    tun: { read: () => EAGAIN, write: (_, __, length) => length, writev: () => 0 },
    now,
    onControl: (peer, type, payload, from) => sessions?.onControl(peer, type, payload, from),
    onKeysConfirmed: (peer) => sessions?.onKeysConfirmed(peer),
  })
  sessions = new Sessions({
    hostId,
    cipher: 'aes-256-gcm',
    plane,
    readSocket: () => {},
    routes: { add: () => undefined, remove: () => {} },
    now,
    wallClock: () => Date.now() + clockOffMs,
    randomToken: () => hostId,
    isLan: () => true,
    canReach: () => true,
    relays: { relayedBy: () => undefined, pathLost() {} },
    ignored: () => ({ strays: 0, unaskedStun: 0 }),
    log: silentLog,
    report: () => {},
  })
  sessions.handle({
    type: 'session',
    hostId: Number(hub),
    attempt,
    secret,
    candidates: [{ address }],
    validUntil: 4_000_000_000_000,
  })
  return { now, plane, sessions, fd: udp.fd }
}

const peers = Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => open(Number(first) + i))
const poller = new Poller(new Arena(65_536), peers.length)
for (const [place, { fd }] of peers.entries()) poller.watch(place, fd)
process.stdout.write('ready\n')
for (;;) {
  for (const { now, plane, sessions } of peers) {
    while (plane.step());
    if (now() >= sessions.nextAt) sessions.tick()
  }
  const wait = Math.min(250, ...peers.map(({ now, sessions }) => sessions.nextAt - now()))
  poller.wait(Math.max(0, wait))
}
