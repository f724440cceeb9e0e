/** P2P processes without sockets: real sessions over a plane that a test plays, with its own clock. */
import { silentLog } from '../../../core/log.ts'
import { isInNetworks, parseEndpoint } from '../../../gateway/dataplane/p2p/process/endpoint.ts'
import { Sessions } from '../../../gateway/dataplane/p2p/process/sessions.ts'
import type { FromProcess, SessionView, ToProcess } from '../../../gateway/dataplane/p2p/protocol.ts'
import type { PeerKeys } from '../../../gateway/dataplane/p2p/udp/crypto/key-schedule.ts'
import { noCounts } from '../../../gateway/dataplane/p2p/udp/peer.ts'
import type { AddPeer, PlanePeer, SendControl } from '../../../gateway/dataplane/p2p/udp/types.ts'

interface Datagram {
  readonly index: number
  readonly type: number
  readonly payload: Uint8Array
  /** IP packet. */
  readonly bytes: number
  readonly from: string
  readonly to: string
}

const EMSGSIZE = 90
const ENETUNREACH = 101
export const secret = 'ab'.repeat(64)
export const attempt = '0123456789abcdef'

export class SimPeer implements PlanePeer {
  readonly hostId: number
  readonly counters = noCounts()
  readonly form = 'whole'
  readonly rttMs = undefined
  address: string | undefined
  segmentBytes = 1_232
  seal: PeerKeys
  opens: PeerKeys[]
  waiting: PeerKeys | undefined

  constructor({ hostId, keys, address }: AddPeer) {
    this.hostId = hostId
    this.seal = keys
    this.opens = [keys]
    this.address = address
  }

  setAddress(address: string | undefined): void {
    this.address = address
  }
  setSegmentBytes(bytes: number): void {
    this.segmentBytes = bytes
  }
  setForm(): void {}
  replaceKeys(keys: PeerKeys, when: 'now' | 'heard'): void {
    this.opens = [keys, this.seal]
    this.waiting = when === 'heard' ? keys : undefined
    if (when === 'now') this.seal = keys
  }
}

export class SimHost {
  readonly hostId: number
  readonly addresses: string[]
  readonly peers = new Map<number, SimPeer>()
  readonly said: { at: number; message: FromProcess }[] = []
  readonly routes = new Set<number>()
  readonly sessions: Sessions
  /** This host's own link. */
  mtu = 1_500
  sent = 0
  /**
   * Speaks like a version from before questions: it sets and reads no flags, and takes all behind 48 bytes for padding.
   */
  isBeforeQuestions = false
  /** Its process stands still until then, and arriving datagrams wait in its socket. */
  standsUntil = 0
  readonly #world: SimWorld

  constructor(hostId: number, addresses: string[], world: SimWorld, rekeyEveryMs?: number) {
    this.hostId = hostId
    this.addresses = addresses
    this.#world = world
    this.sessions = new Sessions({
      hostId,
      cipher: 'aes-256-gcm',
      rekeyEveryMs,
      plane: {
        addPeer: (peer) => this.#addPeer(peer),
        removePeer: (id) => void this.peers.delete(id),
        sendControl: (peer, type, payload, options) => this.#send(peer, type, payload, options),
      },
      readSocket: () => {},
      routes: {
        add: (id) => void this.routes.add(id),
        remove: (id) => void this.routes.delete(id),
      },
      now: () => world.now,
      wallClock: () => 1_790_000_000_000 + world.now,
      randomToken: () => world.token++,
      isLan: (endpoint) => isInNetworks(world.lan, endpoint),
      canReach: () => true,
      relays: { relayedBy: () => undefined, pathLost() {} },
      ignored: () => ({ strays: 0, unaskedStun: 0 }),
      log: silentLog,
      report: (message) => this.said.push({ at: world.now, message }),
    })
  }

  order(message: ToProcess): void {
    this.sessions.handle(message)
  }

  view(hostId: number): SessionView {
    const view = this.sessions.views().find((v) => v.hostId === hostId)
    if (view === undefined) throw new Error(`host ${this.hostId} has no session with ${hostId}`)
    return view
  }

  heard<T extends FromProcess['type']>(type: T, since = 0): Extract<FromProcess, { type: T }>[] {
    return this.said.flatMap(({ at, message }) =>
      at >= since && message.type === type ? [message as Extract<FromProcess, { type: T }>] : [],
    )
  }

  get standsStill(): boolean {
    return this.#world.now < this.standsUntil
  }

  take(datagram: Datagram): void {
    for (const peer of this.peers.values()) {
      if (!peer.opens.some((keys) => keys.open.index === datagram.index)) continue
      peer.counters.rxDatagrams++
      if (peer.waiting?.open.index === datagram.index) {
        peer.seal = peer.waiting
        peer.waiting = undefined
        this.sessions.onKeysConfirmed(peer)
      }
      const { payload } = datagram
      const read = this.isBeforeQuestions ? payload.slice(0, 48).fill(0, 1, 2) : payload
      this.sessions.onControl(peer, datagram.type, read, datagram.from)
    }
  }

  #addPeer(options: AddPeer): PlanePeer {
    const peer = new SimPeer(options)
    this.peers.set(options.hostId, peer)
    return peer
  }

  #send(peer: PlanePeer, type: number, payload: Uint8Array, options: SendControl = {}): number {
    const to = options.to ?? peer.address
    const sealer = this.peers.get(peer.hostId)
    const [from] = this.addresses
    if (to === undefined || sealer === undefined || from === undefined) return ENETUNREACH
    const headers = to.startsWith('[') ? 48 : 28
    const bytes = headers + Math.max(32 + payload.byteLength, options.padToBytes ?? 0)
    if (bytes > this.mtu) return EMSGSIZE
    this.sent++
    sealer.counters.txDatagrams++
    const sent = payload.slice()
    if (this.isBeforeQuestions) sent.fill(0, 1, 2)
    this.#world.send({ index: sealer.seal.seal.index, type, payload: sent, bytes, from, to })
    return 0
  }
}

export class SimWorld {
  now = 0
  token = 1
  readonly hosts: SimHost[] = []
  /** One way. */
  delayMs: (datagram: Datagram) => number = () => 1
  loses: (datagram: Datagram) => boolean = () => false
  /** The source address after a NAT. */
  source: (from: string) => string = (from) => from
  readonly lan = [{ address: parseEndpoint('10.0.0.0:1')?.ip ?? new Uint8Array(4), prefixLen: 24 }]
  readonly #flying: { at: number; datagram: Datagram }[] = []

  host(hostId: number, addresses: string[], rekeyEveryMs?: number): SimHost {
    const host = new SimHost(hostId, addresses, this, rekeyEveryMs)
    this.hosts.push(host)
    return host
  }

  send(datagram: Datagram): void {
    if (!this.loses(datagram))
      this.#flying.push({
        at: this.now + this.delayMs(datagram),
        datagram: { ...datagram, from: this.source(datagram.from) },
      })
  }

  /** Lets time pass, 1 ms at a time. */
  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now++) this.#step()
  }

  /** @returns after how many ms, at most 60 s */
  until(what: string, condition: () => boolean): number {
    for (const begin = this.now; this.now < begin + 60_000; this.now++) {
      this.#step()
      if (condition()) return this.now - begin
    }
    throw new Error(`not within 60 s: ${what}`)
  }

  #step(): void {
    // In the loop's order: lateness, datagrams, timers.
    for (const { sessions, standsStill } of this.hosts)
      if (!standsStill && this.now > sessions.nextAt) sessions.late(this.now - sessions.nextAt)
    for (const flight of this.#flying.splice(0)) {
      const host = this.hosts.find((h) => h.addresses.includes(flight.datagram.to))
      if (flight.at > this.now || host?.standsStill) this.#flying.push(flight)
      else host?.take(flight.datagram)
    }
    for (const { sessions, standsStill } of this.hosts)
      if (!standsStill && this.now >= sessions.nextAt) sessions.tick()
  }
}

/** Gives each host a session with the other, with all its addresses. */
export function introduce(a: SimHost, b: SimHost, validUntil = 1_900_000_000_000): void {
  for (const [host, peer] of [
    [b, a],
    [a, b],
  ] as const)
    host.order({
      type: 'session',
      hostId: peer.hostId,
      attempt,
      secret,
      candidates: peer.addresses.map((address) => ({ address })),
      validUntil,
    })
}
