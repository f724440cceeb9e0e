/**
 * A program that plays a host's UDP path for tests and benchmarks: device, socket, plane with given keys, blocking
 * loop.
 *
 * Orders come as JSON lines on stdin, answers go out as JSON lines.
 */
import { readSync, writeSync } from 'node:fs'
import { sleepMicros } from 'netlink-ts/libc-udp.node.ts'
import { parseIpv4 } from '../../../core/addr.ts'
import { firstKeys } from '../../../gateway/dataplane/p2p/udp/crypto/key-schedule.ts'
import { testedAead } from '../../../gateway/dataplane/p2p/udp/crypto/self-test.ts'
import { Plane } from '../../../gateway/dataplane/p2p/udp/plane.ts'
import { PLANE_MEMORY } from '../../../gateway/dataplane/p2p/udp/plane-options.ts'
import type { Form } from '../../../gateway/dataplane/p2p/udp/types.ts'
import { Arena } from '../../../kernel/arena.ts'
import { Poller } from '../../../kernel/poller.ts'
import { openTun } from '../../../kernel/tun.ts'
import { TunPort } from '../../../kernel/tun-port.ts'
import { UdpSocket } from '../../../kernel/udp-socket.ts'

export interface PlaneHostConf {
  readonly hostId: number
  readonly listen?: string
  /** Endpoints by hostId. */
  readonly peers: Readonly<Record<number, string>>
  readonly mtu?: number
  /** Absent: chosen by measurement. */
  readonly form?: Form
  readonly segmentBytes?: number
  readonly gso?: boolean
  readonly gro?: boolean
  readonly cipher?: 'aes-256-gcm' | 'chacha20-poly1305'
}

export type PlaneHostOrder =
  | { readonly do: 'stats' }
  | { readonly do: 'form'; readonly hostId: number; readonly form?: Form }
  | { readonly do: 'segment'; readonly hostId: number; readonly bytes: number }
  | {
      readonly do: 'control'
      readonly hostId: number
      readonly hex: string
      readonly padToBytes?: number
      readonly to?: string
    }
  /** New keys from another secret, to use at once or after the peer has used its own. */
  | { readonly do: 'keys'; readonly hostId: number; readonly seed: number; readonly when: 'now' | 'heard' }

const conf: PlaneHostConf = JSON.parse(process.argv[2] ?? '{}')
const print = (what: unknown): void => void writeSync(1, `${JSON.stringify(what)}\n`)
const keysWith = (peerId: number, seed: number) =>
  firstKeys(new Uint8Array(64).fill(seed), { hostId: conf.hostId, peerId }, conf.cipher)

const arena = new Arena(PLANE_MEMORY)
const tested = testedAead(arena)
if ('problem' in tested) throw new Error(tested.problem)
const device = openTun({ ifname: 'flatnet-p2p', mtu: conf.mtu ?? 1500, isPersistent: false })
const udp = new UdpSocket(arena, {
  listen: conf.listen ?? '[::]:7443',
  ...(conf.gso !== undefined && { gso: conf.gso }),
  ...(conf.gro !== undefined && { gro: conf.gro }),
})
const plane = new Plane({
  hostId: conf.hostId,
  supernet: { base: parseIpv4('10.100.0.0') ?? 0, prefixLen: 16 },
  hostPrefix: 24,
  arena,
  aead: tested.aead,
  udp,
  tun: new TunPort(device.fd),
  now: () => performance.now(),
  pause: () => sleepMicros(50),
  onControl: (peer, type, payload, from) =>
    print({ event: 'control', hostId: peer.hostId, type, hex: Buffer.from(payload).toString('hex'), from }),
  onRoamed: (peer, from) => {
    print({ event: 'roamed', hostId: peer.hostId, from })
    peer.setAddress(from)
  },
  onSendError: (peer, errno) => print({ event: 'sendError', hostId: peer.hostId, errno }),
  onForm: (peer, form, reason) => print({ event: 'form', hostId: peer.hostId, form, reason }),
  onKeysConfirmed: (peer) => print({ event: 'confirmed', hostId: peer.hostId }),
})
for (const [id, address] of Object.entries(conf.peers)) {
  const hostId = Number(id)
  const peer = plane.addPeer({
    hostId,
    keys: keysWith(hostId, 1),
    address,
    segmentBytes: conf.segmentBytes ?? 1472,
  })
  if (conf.form !== undefined) peer.setForm(conf.form)
}

function stats(): void {
  const peers = Object.keys(conf.peers).map((id) => {
    const peer = plane.peer(Number(id))
    return {
      ...peer?.counters,
      hostId: peer?.hostId,
      form: peer?.form,
      rttMs: peer?.rttMs,
      window: peer?.credit.window,
      expired: peer?.credit.expired,
    }
  })
  const { copied } = udp.slots
  print({
    event: 'stats',
    ...plane.counters,
    copied,
    ...udp.features,
    peers,
    cpu: process.cpuUsage(),
    rss: process.memoryUsage.rss(),
  })
}

function handle(order: PlaneHostOrder): void {
  if (order.do === 'stats') {
    stats()
    return
  }
  const peer = plane.peer(order.hostId)
  if (peer === undefined) return
  switch (order.do) {
    case 'form':
      peer.setForm(order.form)
      break
    case 'segment':
      peer.setSegmentBytes(order.bytes)
      break
    case 'keys':
      peer.replaceKeys(keysWith(order.hostId, order.seed), order.when)
      break
    case 'control': {
      const { padToBytes, to } = order
      const options = { ...(padToBytes !== undefined && { padToBytes }), ...(to !== undefined && { to }) }
      const errno = plane.sendControl(peer, 7, Buffer.from(order.hex, 'hex'), options)
      if (errno !== 0) print({ event: 'sendError', hostId: order.hostId, errno })
      break
    }
  }
}

let input = ''
const chunk = Buffer.alloc(4096)
function orders(): void {
  const n = readSync(0, chunk)
  if (n === 0) process.exit(0)
  input += chunk.toString('utf8', 0, n)
  const lines = input.split('\n')
  input = lines.pop() ?? ''
  for (const line of lines) handle(JSON.parse(line))
}

const poller = new Poller(arena, 3)
print({
  event: 'ready',
  features: tested.features,
  ...udp.features,
  offloads: device.offloads,
  address: udp.address,
})
poller.watch(0, 0)
poller.watch(1, udp.fd)
let readsSocket = true
let readsDevice = true
for (let steps = 0; ; steps++) {
  plane.step(readsSocket, readsDevice)
  const isBusy = plane.mayHaveMore
  if (isBusy && steps % 64 !== 0) continue
  const { waitMs } = plane
  poller.watch(2, plane.readsDevice ? device.fd : -1)
  const idleMs = Math.min(waitMs ?? Number.POSITIVE_INFINITY, plane.holdMs ?? Number.POSITIVE_INFINITY)
  const isReady = poller.wait(isBusy ? 0 : Number.isFinite(idleMs) ? idleMs : -1) === 'ready'
  if (isReady && poller.isReady(0)) orders()
  readsSocket = isBusy || !isReady || poller.isReady(1)
  readsDevice = isBusy || !isReady || poller.isReady(2)
}
