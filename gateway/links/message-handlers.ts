/** Which part of the gateway handles which messages of peers: one handler for a prefix or a type. */

import type { ControlMessage } from './types.ts'

/** Must not wait. What it throws is logged and ends neither link nor gateway. */
export type MessageHandler = (hostId: number, message: ControlMessage) => void

export class MessageHandlers {
  readonly #handlers = new Map<string, MessageHandler>()

  /**
   * @param name a prefix with its dot, e.g. `registry.`, or a whole type, e.g. `cluster.leave`, which goes before its prefix
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
