/** Makes the plane once there are a device, a UDP socket and a tested AEAD, and says what is missing until then. */
import { sleepMicros } from 'netlink-ts/libc-udp.node.ts'
import type { Prefix4 } from '../../../../core/addr.ts'
import type { Millis } from '../../../../core/clock.ts'
import type { Log } from '../../../../core/log.ts'
import { Arena } from '../../../../kernel/arena.ts'
import { canReach, type UdpFamily } from '../../../../kernel/sockaddr.ts'
import { TunPort } from '../../../../kernel/tun-port.ts'
import { UdpSocket } from '../../../../kernel/udp-socket.ts'
import { testedAead } from '../udp/crypto/self-test.ts'
import { Plane } from '../udp/plane.ts'
import { PLANE_MEMORY } from '../udp/plane-options.ts'
import { RelayedPort } from '../udp/relayed-port.ts'
import type { AddPeer, PlaneEvents, PlanePeer, SendControl, UdpPlane } from '../udp/types.ts'
import { HEADER } from '../udp/wire/datagram.ts'
import { StunAnswers } from './stun-answers.ts'

export interface PlaneSlotDeps {
  readonly hostId: number
  readonly supernet: Prefix4
  readonly hostPrefix: number
  /** `[::]:7443`. */
  readonly listen: string
  readonly events: PlaneEvents
  /** Undefined while there is no device. */
  tunFd(): number | undefined
  now(): Millis
  readonly log: Log
  /** STUN came that is no question for this host. */
  heard(bytes: Uint8Array, from: string): void
  /** The plane was made, or the problem changed. */
  changed(): void
}

/** Short, for people who end another process that has the port. */
const AGAIN_MS: Millis = 5_000
/** Memory that the loop polls with, beside the plane's. */
const LOOP_MEMORY = 65_536
/** With the kernel's slack 0.1 ms. Half of it gathers too little, twice as much lets the device's queue overflow. */
const PAUSE_US = 50

export class PlaneSlot implements Pick<UdpPlane, 'addPeer' | 'removePeer' | 'sendControl'> {
  readonly arena = new Arena(PLANE_MEMORY + LOOP_MEMORY)
  readonly #deps: PlaneSlotDeps
  readonly #tested: ReturnType<typeof testedAead>
  #udp: UdpSocket | undefined
  #plane: Plane | undefined
  #port: RelayedPort | undefined
  #problem: string | undefined
  #tryAt: Millis
  readonly #stun: StunAnswers

  constructor(deps: PlaneSlotDeps) {
    this.#deps = deps
    this.#tested = testedAead(this.arena)
    if ('problem' in this.#tested) this.#problem = this.#tested.problem
    this.#tryAt = deps.now()
    this.#stun = new StunAnswers(deps.now)
  }

  get plane(): Plane | undefined {
    return this.#plane
  }

  /** Why there is no UDP socket, in words for a person. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Datagrams without a key: with an unknown index, too short, or broken. */
  get strays(): number {
    const { unknownIndex = 0, malformed = 0 } = this.#plane?.counters ?? {}
    return unknownIndex + malformed
  }

  /** To poll for reading. */
  get fd(): number | undefined {
    return this.#udp?.fd
  }

  get port(): number {
    return Number(/\d+$/.exec(this.#udp?.address ?? this.#deps.listen)?.[0] ?? 0)
  }

  get features(): { cipher: string; gso: boolean; gro: boolean; record: boolean } {
    const { gso, gro } = this.#udp?.features ?? { gso: false, gro: false }
    const record = 'features' in this.#tested && this.#tested.features.record
    return { cipher: 'aes-256-gcm', gso, gro, record }
  }

  get nextAt(): Millis {
    const isHopeless = 'problem' in this.#tested
    return this.#plane !== undefined || isHopeless ? Number.POSITIVE_INFINITY : this.#tryAt
  }

  tick(): void {
    if (this.#deps.now() < this.nextAt) return
    this.#tryAt = this.#deps.now() + AGAIN_MS
    this.#openUdp()
    this.open()
  }

  /** Makes the plane if nothing is missing any more. */
  open(): void {
    const { events, hostId, hostPrefix, now, supernet } = this.#deps
    const [tun, udp, tested] = [this.#deps.tunFd(), this.#udp, this.#tested]
    if (this.#plane !== undefined || tun === undefined || udp === undefined || 'problem' in tested) return
    this.#port = new RelayedPort(this.arena, udp)
    this.#plane = new Plane({
      hostId,
      supernet,
      hostPrefix,
      arena: this.arena,
      aead: tested.aead,
      udp: this.#port,
      tun: new TunPort(tun),
      now,
      pause: () => sleepMicros(PAUSE_US),
      onControl: (peer, type, payload, from) => events.onControl(peer, type, payload, from),
      onRoamed: (peer, from) => events.onRoamed?.(peer, from),
      onSendError: (peer, errno) => events.onSendError?.(peer, errno),
      onForm: (peer, form, reason) => events.onForm?.(peer, form, reason),
      onKeysConfirmed: (peer) => events.onKeysConfirmed?.(peer),
      onPlain: (bytes, from) => this.#takeStun(bytes, from),
    })
    this.#deps.changed()
  }

  /** Whether the socket can send to addresses of this family. */
  canReach(endpoint: string): boolean {
    return this.#udp !== undefined && canReach(this.#udp.family as UdpFamily, endpoint)
  }

  /** Datagrams to and from this peer of a TURN server pass from now on. */
  bind(server: number, address: string, channel: number, port: number): void {
    this.#port?.bind(server, address, channel, port)
  }

  /** Whether a datagram has the index of a peer's key. */
  knows(datagram: Uint8Array): boolean {
    if (datagram.byteLength < HEADER) return false
    const index = new DataView(datagram.buffer, datagram.byteOffset).getUint32(0)
    return this.#plane?.keyOf(index) !== undefined
  }

  unbind(server: number, channel: number): void {
    this.#port?.unbind(server, channel)
  }

  addPeer(peer: AddPeer): PlanePeer {
    if (this.#plane === undefined) throw new Error(this.#problem ?? 'there is no device')
    return this.#plane.addPeer(peer)
  }

  removePeer(hostId: number): void {
    this.#plane?.removePeer(hostId)
  }

  sendControl(peer: PlanePeer, type: number, payload: Uint8Array, options?: SendControl): number {
    return this.#plane?.sendControl(peer, type, payload, options) ?? 0
  }

  /** What cannot be sent counts as lost: its sender asks again. */
  sendPlain(bytes: Uint8Array, to: string): void {
    if (this.canReach(to)) this.#plane?.plain.send(bytes, to)
  }

  #takeStun(bytes: Uint8Array, from: string): void {
    const answer = this.#stun.answer(bytes, from)
    if (answer === undefined) this.#deps.heard(bytes, from)
    else this.sendPlain(answer, from)
  }

  close(): void {
    this.#plane?.close()
    this.#plane = undefined
    this.#udp?.close()
    this.#udp = undefined
  }

  #openUdp(): void {
    if (this.#udp !== undefined) return
    try {
      this.#udp = new UdpSocket(this.arena, { listen: this.#deps.listen })
      this.#problem = undefined
      this.#deps.changed()
    } catch (err) {
      const problem = err instanceof Error ? err.message : String(err)
      if (problem === this.#problem) return
      this.#problem = problem
      this.#deps.log.error({ err }, 'socket of direct paths could not be opened')
      this.#deps.changed()
    }
  }
}
