/** The lines to the peers: the direct one that the peer link brings, those by way of relays, and which of them is sent on. */
import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { Via } from '../paths/decide.ts'
import { greet, hear, ping } from './channel-control.ts'
import type { Line } from './tunnel/channel.ts'
import { FrameError, type FrameHead } from './tunnel/frame.ts'
import { socketPort } from './tunnel/socket-port.ts'
import type { Tunnel } from './tunnel/tunnel.ts'

interface Held {
  readonly line: Line
  readonly socket: TLSSocket
  /** Monotonic, of the last byte. */
  heardAt: Millis
  rttMs: Millis | undefined
}

export interface LinesParts {
  readonly tunnel: Tunnel
  readonly scheduler: Scheduler
  readonly log: Log
  /** Whether our own kernel takes packets of UDP segmentation offload. */
  takesUso(): boolean
}

/** facts/paths.md 4.2: a relayed line has no control connection beside it that would notice. */
const PING_MS: Millis = 1_000
const DEAD_MS: Millis = 3_000
/** Weight of a new measurement, as on the control connection. */
const RTT_WEIGHT = 0.25

/** The key of the direct line; relays have their hostIds, which begin at 1. */
const DIRECT = 0

export class Lines {
  readonly #parts: LinesParts
  readonly #byHost = new Map<number, Map<number, Held>>()
  readonly #vias = new Map<number, number>()
  readonly #held = new WeakMap<Line, Held>()
  readonly #cancels = new Set<() => void>()

  constructor(parts: LinesParts) {
    this.#parts = parts
  }

  /** The data connection of a peer link stands; until `directDown` it is read here. */
  directUp(hostId: number, socket: TLSSocket): void {
    this.#add(hostId, DIRECT, socket)
  }

  directDown(hostId: number): void {
    this.#remove(hostId, DIRECT)
  }

  /** An end-to-end connection through a relay stands. It is watched here: it ends when its other end is silent. */
  relayUp(hostId: number, relay: number, socket: TLSSocket): void {
    const held = this.#add(hostId, relay, socket)
    this.#watch(held)
    socket.once('close', () => {
      if (this.#byHost.get(hostId)?.get(relay) === held) this.#remove(hostId, relay)
    })
  }

  /** From now on packets for the host go this way; until its line stands they stay where they are, or go straight. */
  choose(hostId: number, via: Extract<Via, { kind: 'gateway' | 'relay' }>): void {
    this.#vias.set(hostId, via.kind === 'relay' ? via.hostId : DIRECT)
    this.#use(hostId)
  }

  unchoose(hostId: number): void {
    this.#vias.delete(hostId)
  }

  /** Whether packets get to the host by any line. */
  has(hostId: number): boolean {
    return this.#byHost.has(hostId)
  }

  /** Round trip of the relayed line; undefined before the first. */
  rttMs(hostId: number, relay: number): Millis | undefined {
    return this.#byHost.get(hostId)?.get(relay)?.rttMs
  }

  /** The device is another, and with it what it takes. */
  greetAll(): void {
    for (const lines of this.#byHost.values())
      for (const { line } of lines.values()) greet(line, this.#parts.takesUso())
  }

  /** Frames that are no packets. @returns whether it was known */
  hear(line: Line, head: FrameHead, payload: Uint8Array): boolean {
    return hear(line, head, payload, (sentAt) => {
      const held = this.#held.get(line)
      const sample = this.#parts.scheduler.monotonic() - sentAt
      // What we never asked says nothing.
      if (held === undefined || !(sample >= 0 && sample < DEAD_MS)) return
      held.rttMs = held.rttMs === undefined ? sample : held.rttMs + RTT_WEIGHT * (sample - held.rttMs)
    })
  }

  close(): void {
    for (const cancel of this.#cancels) cancel()
    for (const [hostId, lines] of this.#byHost) for (const key of [...lines.keys()]) this.#remove(hostId, key)
  }

  #add(hostId: number, key: number, socket: TLSSocket): Held {
    const { tunnel, scheduler, log, takesUso } = this.#parts
    this.#remove(hostId, key)
    const line = tunnel.addLine(hostId, socketPort(socket))
    const held: Held = { line, socket, heardAt: scheduler.monotonic(), rttMs: undefined }
    this.#held.set(line, held)
    const lines = this.#byHost.get(hostId) ?? new Map<number, Held>()
    this.#byHost.set(hostId, lines.set(key, held))
    socket.on('data', (chunk: Buffer) => {
      held.heardAt = scheduler.monotonic()
      try {
        line.receive(chunk)
      } catch (err) {
        if (!(err instanceof FrameError)) throw err
        log.warn({ peer: hostId, err }, 'peer sent no frames, its connection was closed')
        socket.destroy()
      }
    })
    greet(line, takesUso())
    this.#use(hostId)
    return held
  }

  #remove(hostId: number, key: number): void {
    const lines = this.#byHost.get(hostId)
    lines?.get(key)?.line.close()
    lines?.delete(key)
    if (lines?.size === 0) this.#byHost.delete(hostId)
    else this.#use(hostId)
  }

  #use(hostId: number): void {
    const via = this.#vias.get(hostId)
    const lines = this.#byHost.get(hostId)
    if (via === undefined) return
    const held = lines?.get(via) ?? lines?.get(DIRECT)
    held?.line.use()
  }

  #watch(held: Held): void {
    const { scheduler } = this.#parts
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
      ping(held.line, now)
      const cancel = scheduler.after(PING_MS, () => {
        this.#cancels.delete(cancel)
        if (!held.socket.destroyed) tick()
      })
      this.#cancels.add(cancel)
    }
    tick()
  }
}
