/** Which part of the gateway handles which messages of peers: one handler for a prefix or a type. */

import type { Clock, Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import { LogLimiter } from '../base/log-limit.ts'
import type { Metrics } from '../base/metrics.ts'
import { printable } from '../base/printable.ts'
import type { ControlMessage } from './types.ts'

/** A peer of another version may send many of them. */
const SAID_AGAIN_MS: Millis = 60_000

/** Must not wait. What it throws is logged and ends neither link nor gateway. */
export type MessageHandler = (hostId: number, message: ControlMessage) => void

export class MessageHandlers {
  readonly #handlers = new Map<string, MessageHandler>()

  /**
   * @param name a prefix with its dot, e.g. `registry.`, or a whole type, e.g. `cluster.leave`, which precedes its
   *   prefix
   * @throws {Error} the name is registered already
   */
  add(name: string, handler: MessageHandler): void {
    if (this.#handlers.has(name)) throw new Error(`messages ${name} are handled already`)
    this.#handlers.set(name, handler)
  }

  /** Undefined: no part of this gateway registered for it. */
  of({ type }: ControlMessage): MessageHandler | undefined {
    return this.#handlers.get(type) ?? this.#handlers.get(type.slice(0, type.indexOf('.') + 1))
  }
}

interface DroppedMessagesDeps {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}

/** What no part of this gateway handles, or is too long to be read: counted, and logged once in a while. */
export class DroppedMessages {
  readonly #deps: DroppedMessagesDeps
  readonly #limit = new LogLimiter(SAID_AGAIN_MS)

  constructor(deps: DroppedMessagesDeps) {
    this.#deps = deps
  }

  unknown(hostId: number, { type }: ControlMessage): void {
    const help = 'Messages of peers that no part of this gateway handles'
    this.#deps.metrics.count('flatnet_peer_unknown_messages_total', help, { host: String(hostId) })
    this.#warn('unknown message of a peer was dropped', hostId, printable(type))
  }

  oversized(hostId: number, bytes: number): void {
    const help = 'Messages of peers that were passed over for their length'
    this.#deps.metrics.count('flatnet_peer_oversized_messages_total', help, { host: String(hostId) })
    this.#warn('long message of a peer was dropped', hostId, `${bytes} bytes`)
  }

  #warn(text: string, peer: number, reason: string): void {
    const { clock, log } = this.#deps
    if (this.#limit.isDue(`${peer} ${text}`, clock.monotonic())) log.warn({ peer, reason }, text)
  }
}
