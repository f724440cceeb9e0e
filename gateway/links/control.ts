/** One control connection: messages both ways, a heartbeat each second, dead after 3 s of silence. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../core/clock.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { Cost } from './budget.ts'
import {
  type ControlFrame,
  decodeMessage,
  encodeFrame,
  encodeMessage,
  FrameReader,
  FrameType,
  ProtocolError,
} from './frames.ts'
import type { ControlMessage } from './types.ts'

/** docs/architecture/links.md#heartbeat. */
const HEARTBEAT_MS: Millis = 1_000
const DEAD_MS: Millis = 3_000
/** How finely silence is measured: a dead peer is known to be so after 3.25 s at the latest. */
const CHECK_MS: Millis = 250
/** A check this late means that this process stood still: what the peer said meanwhile is read only after it. */
const STOOD_STILL_MS: Millis = 1_000
/** A peer that does not read while tables change: it gets the whole table when it is back. */
const MAX_BACKLOG = 64 * 1024 * 1024
/**
 * After so long the rest of what has come waits for the loop's next turn: requests, packets and other members go
 * between. A single message takes 20 ms at most (message-cost.ts).
 */
const SLICE_MS: Millis = 10
const PING_BYTES = 8
/** A peer pings once a second; of 770,000 pings a second it gets no more answers than it can use. */
const PONG_EVERY_MS: Millis = 100
/** Weight of a new measurement (RFC 6298's 1/8 is for many more of them). */
const RTT_WEIGHT = 0.25
/** Weight of a deviation, as RFC 6298 has it. */
const JITTER_WEIGHT = 0.25

export interface ControlHandlers {
  /**
   * Called once: the other side has sent something, so it has accepted this host too. In TLS 1.3 the dialler's
   * handshake ends before that.
   */
  ready(): void
  message(message: ControlMessage): void
  /** A message that is longer than any of the protocol was passed over. */
  oversized(bytes: number): void
  /** @returns why the peer may not go on; undefined: it may */
  spend(cost: Cost): string | undefined
  /** Once; the socket is destroyed by then. */
  closed(reason: string): void
}

export class ControlConnection {
  readonly #socket: TLSSocket
  readonly #scheduler: Scheduler
  readonly #handlers: ControlHandlers
  readonly #reader = new FrameReader()
  /** They have come, and wait for the next turn; the socket is paused meanwhile. */
  #frames: readonly ControlFrame[] = []
  readonly #stopChecking: () => void
  #heardAt: Millis
  #checkedAt: Millis
  #pingedAt: Millis = 0
  #pongedAt: Millis = Number.NEGATIVE_INFINITY
  #rttMs: Millis | undefined
  #jitterMs: Millis = 0
  #isClosed = false
  #isReady = false

  /** @param socket its handshake done and its certificate judged */
  constructor(socket: TLSSocket, scheduler: Scheduler, handlers: ControlHandlers) {
    this.#socket = socket
    this.#scheduler = scheduler
    this.#handlers = handlers
    this.#heardAt = scheduler.monotonic()
    this.#checkedAt = this.#heardAt
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (err) => this.close(err.message))
    socket.on('close', () => this.close('connection closed'))
    this.#stopChecking = scheduler.every(CHECK_MS, () => this.#check())
    this.#ping()
  }

  get rttMs(): Millis | undefined {
    return this.#rttMs
  }

  /** How far round trips are off their mean, smoothed. */
  get jitterMs(): Millis {
    return this.#jitterMs
  }

  /** Both ends' addresses, as the socket names them. */
  get addresses(): { readonly local: string; readonly remote: string } | undefined {
    const { localAddress: local, remoteAddress: remote } = this.#socket
    return local === undefined || remote === undefined ? undefined : { local, remote }
  }

  /** When the peer's certificate ends, ms since the epoch; undefined: the socket does not say. */
  get peerValidTo(): Millis | undefined {
    return this.#socket.getPeerX509Certificate()?.validToDate.getTime()
  }

  /** A secret that both ends of this connection can make, and no one else (RFC 8446, 7.5). Undefined: it is closed. */
  exportKey(bytes: number, label: string, context: Buffer): Buffer | undefined {
    return this.#isClosed ? undefined : this.#socket.exportKeyingMaterial(bytes, label, context)
  }

  /** @returns false when the connection is gone, or goes because the peer does not read */
  send(message: ControlMessage): boolean {
    if (this.#isClosed) return false
    if (this.#socket.writableLength > MAX_BACKLOG) {
      this.close('peer does not read')
      return false
    }
    this.#socket.write(encodeMessage(message))
    return true
  }

  close(reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopChecking()
    this.#socket.destroy()
    this.#handlers.closed(reason)
  }

  #check(): void {
    const now = this.#scheduler.monotonic()
    const silentMs = now - this.#heardAt
    const stoodStill = now - this.#checkedAt >= STOOD_STILL_MS
    this.#checkedAt = now
    if (silentMs >= DEAD_MS && !stoodStill)
      this.close(`no sign of life for ${(silentMs / 1000).toFixed(1)} s`)
    else if (now - this.#pingedAt >= HEARTBEAT_MS) this.#ping()
  }

  /** The clock reading travels with the ping, so no table of open pings is kept. */
  #ping(): void {
    this.#pingedAt = this.#scheduler.monotonic()
    const body = Buffer.allocUnsafe(PING_BYTES)
    body.writeDoubleBE(this.#pingedAt, 0)
    this.#socket.write(encodeFrame(FrameType.ping, body))
  }

  #read(chunk: Buffer): void {
    this.#heardAt = this.#scheduler.monotonic()
    this.#guarded(() => {
      const frames = this.#reader.push(chunk)
      const skipped = frames.reduce((sum, frame) => sum + (frame.skipped ?? 0), 0)
      this.#spend({ bytes: chunk.length, frames: frames.length, skipped })
      // A paused socket may still have a chunk on its way.
      const isWaiting = this.#frames.length > 0
      this.#frames = isWaiting ? [...this.#frames, ...frames] : frames
      if (!isWaiting) this.#work()
    })
  }

  /** Handles frames for a slice of time, and the rest in the loop's next turn. */
  #work(): void {
    const frames = this.#frames
    const began = this.#scheduler.monotonic()
    const cpu = process.threadCpuUsage()
    let done = 0
    while (done < frames.length && !this.#isClosed) {
      this.#handle(frames[done++]!)
      if (this.#scheduler.monotonic() - began >= SLICE_MS) break
    }
    this.#frames = frames.slice(done)
    const { user, system } = process.threadCpuUsage(cpu)
    this.#spend({ cpuMs: (user + system) / 1000 })
    if (this.#isClosed) return
    if (this.#frames.length === 0) this.#socket.resume()
    else {
      this.#socket.pause()
      setImmediate(() => this.#guarded(() => this.#work()))
    }
  }

  #spend(cost: Cost): void {
    const reason = this.#handlers.spend(cost)
    if (reason !== undefined) this.close(reason)
  }

  #guarded(read: () => void): void {
    try {
      if (!this.#isClosed) read()
    } catch (err) {
      if (!(err instanceof ProtocolError)) throw err
      this.close(`protocol error: ${err.message}`)
    }
  }

  #becomeReady(): void {
    if (this.#isReady) return
    this.#isReady = true
    this.#handlers.ready()
  }

  #handle({ type, body, skipped }: ControlFrame): void {
    this.#becomeReady()
    if (this.#isClosed) return
    if (skipped !== undefined) this.#handlers.oversized(skipped)
    else if (type === FrameType.message) this.#handlers.message(decodeMessage(body))
    else if (type === FrameType.ping && body.length === PING_BYTES) this.#pong(body)
    else if (type === FrameType.pong && body.length === PING_BYTES) {
      const sample = this.#scheduler.monotonic() - body.readDoubleBE(0)
      // A pong that we never asked for says nothing.
      if (sample >= 0 && sample < DEAD_MS) this.#measured(sample)
    } else throw new ProtocolError(`frame of type ${type} with ${body.length} bytes`)
  }

  #pong(body: Buffer): void {
    const now = this.#scheduler.monotonic()
    if (now - this.#pongedAt < PONG_EVERY_MS) return
    this.#pongedAt = now
    this.#socket.write(encodeFrame(FrameType.pong, body))
  }

  #measured(sample: Millis): void {
    const off = this.#rttMs === undefined ? 0 : sample - this.#rttMs
    this.#rttMs = (this.#rttMs ?? sample) + RTT_WEIGHT * off
    this.#jitterMs += JITTER_WEIGHT * (Math.abs(off) - this.#jitterMs)
  }
}
