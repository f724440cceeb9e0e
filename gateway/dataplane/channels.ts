/** The channels to each peer, direct and through relays, and which of them packets are sent on. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { type CandidateId, viaText } from '../paths/transport.ts'
import { onFrame, ping, sendHello } from './channel-control.ts'
import type { RelaySignals } from './relay/signals.ts'
import type { Channel } from './tunnel/channel.ts'
import { FrameError, type FrameHeader, FrameType } from './tunnel/frame.ts'
import { socketPort } from './tunnel/socket-port.ts'
import type { Tunnel } from './tunnel/tunnel.ts'

interface Held {
  readonly channel: Channel
  readonly socket: TLSSocket
  /** Monotonic, of the last byte. */
  heardAt: Millis
  rttMs: Millis | undefined
}

export interface ChannelTableDeps {
  readonly tunnel: Tunnel
  readonly scheduler: Scheduler
  readonly log: Log
  readonly signals: RelaySignals
  /** Whether the own kernel takes packets of UDP segmentation offload. */
  takesUso(): boolean
}

/**
 * docs/architecture/dataplane.md#channels: a relayed channel has no control connection beside it that would
 * notice.
 */
const PING_MS: Millis = 1_000
const DEAD_MS: Millis = 3_000
/** Weight of a new measurement, as on the control connection. */
const RTT_WEIGHT = 0.25

const DIRECT: CandidateId = { kind: 'gateway' }

export class ChannelTable {
  readonly #deps: ChannelTableDeps
  /** Of each host, its channels by `viaText`. */
  readonly #byHost = new Map<number, Map<string, Held>>()
  readonly #chosen = new Map<number, CandidateId>()
  readonly #held = new WeakMap<Channel, Held>()
  readonly #cancels = new Set<() => void>()

  constructor(deps: ChannelTableDeps) {
    this.#deps = deps
  }

  /** The data connection of a peer's link stands; until `directDown` it is read here. */
  directUp(hostId: number, socket: TLSSocket): void {
    this.#add(hostId, DIRECT, socket)
  }

  directDown(hostId: number): void {
    this.#remove(hostId, DIRECT)
  }

  /** An end-to-end connection through a relay stands. It is watched here: it ends when its other end is silent. */
  relayUp(hostId: number, relay: number, socket: TLSSocket): void {
    const id: CandidateId = { kind: 'relay', hostId: relay }
    const held = this.#add(hostId, id, socket)
    this.#watch(held)
    socket.once('close', () => {
      if (this.#get(hostId, id) === held) this.#remove(hostId, id)
    })
    this.#deps.signals.add({ hostId, relay, channel: held.channel, socket })
  }

  /**
   * Packets for the host go this way from now on. Until its channel stands they stay where they are, or go direct.
   */
  choose(hostId: number, id: CandidateId): void {
    this.#chosen.set(hostId, id)
    this.#use(hostId)
  }

  /** @returns false: a candidate of another kind has been chosen since */
  unchoose(hostId: number, kind: CandidateId['kind']): boolean {
    return this.#chosen.get(hostId)?.kind === kind && this.#chosen.delete(hostId)
  }

  /** Whether packets get to the host by any channel. */
  has(hostId: number): boolean {
    return this.#byHost.has(hostId)
  }

  /** Round trip of the relayed channel; undefined before the first. */
  rttMs(hostId: number, id: CandidateId): Millis | undefined {
    return this.#get(hostId, id)?.rttMs
  }

  /** The device is another, and takes other packets. */
  sendHellos(): void {
    for (const channels of this.#byHost.values())
      for (const { channel } of channels.values()) sendHello(channel, this.#deps.takesUso())
  }

  /** Frames that are no packets. @returns whether it was known */
  onFrame(channel: Channel, header: FrameHeader, payload: Uint8Array): boolean {
    if (header.type === FrameType.SIGNAL) {
      this.#deps.signals.receive(channel, payload)
      return true
    }
    return onFrame(channel, header, payload, (sentAt) => {
      const held = this.#held.get(channel)
      const sample = this.#deps.scheduler.monotonic() - sentAt
      // An answer to no question says nothing.
      if (held === undefined || !(sample >= 0 && sample < DEAD_MS)) return
      held.rttMs = held.rttMs === undefined ? sample : held.rttMs + RTT_WEIGHT * (sample - held.rttMs)
    })
  }

  close(): void {
    for (const cancel of this.#cancels) cancel()
    for (const [hostId, channels] of this.#byHost)
      for (const key of [...channels.keys()]) this.#removeByKey(hostId, key)
  }

  #get(hostId: number, id: CandidateId): Held | undefined {
    return this.#byHost.get(hostId)?.get(viaText(id))
  }

  #add(hostId: number, id: CandidateId, socket: TLSSocket): Held {
    const { tunnel, scheduler, log, takesUso } = this.#deps
    this.#remove(hostId, id)
    const channel = tunnel.addChannel(hostId, socketPort(socket))
    const held: Held = { channel, socket, heardAt: scheduler.monotonic(), rttMs: undefined }
    this.#held.set(channel, held)
    const channels = this.#byHost.get(hostId) ?? new Map<string, Held>()
    this.#byHost.set(hostId, channels.set(viaText(id), held))
    socket.on('data', (chunk: Buffer) => {
      held.heardAt = scheduler.monotonic()
      try {
        channel.receive(chunk)
      } catch (err) {
        if (!(err instanceof FrameError)) throw err
        log.warn({ peer: hostId, err }, 'peer sent no frames, its connection was closed')
        socket.destroy()
      }
    })
    sendHello(channel, takesUso())
    this.#use(hostId)
    return held
  }

  #remove(hostId: number, id: CandidateId): void {
    this.#removeByKey(hostId, viaText(id))
  }

  #removeByKey(hostId: number, key: string): void {
    const channels = this.#byHost.get(hostId)
    const channel = channels?.get(key)?.channel
    channel?.close()
    channels?.delete(key)
    if (channel !== undefined) this.#deps.signals.remove(channel)
    if (channels?.size === 0) this.#byHost.delete(hostId)
    else this.#use(hostId)
  }

  #use(hostId: number): void {
    const chosen = this.#chosen.get(hostId)
    if (chosen === undefined) return
    const held = this.#get(hostId, chosen) ?? this.#get(hostId, DIRECT)
    held?.channel.use()
  }

  #watch(held: Held): void {
    const { scheduler } = this.#deps
    let dueAt = scheduler.monotonic()
    const tick = (): void => {
      const now = scheduler.monotonic()
      // This process stood still, and has not read yet what came meanwhile.
      const isLate = now - dueAt >= PING_MS
      dueAt = now + PING_MS
      if (now - held.heardAt >= DEAD_MS && !isLate) {
        held.socket.destroy(new Error(`no sign of life for ${DEAD_MS / 1000} s`))
        return
      }
      ping(held.channel, now)
      const cancel = scheduler.after(PING_MS, () => {
        this.#cancels.delete(cancel)
        if (!held.socket.destroyed) tick()
      })
      this.#cancels.add(cancel)
    }
    tick()
  }
}
