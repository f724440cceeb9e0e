/** Counts the streams of each peer and in all, and can end each of them. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../../core/clock.ts'
import { boundSilence, boundUnacknowledged, DEAD_MS, resetOnClose } from '../liveness.ts'
import { StreamError } from './stream-frame.ts'

const MAX_OF_PEER = 1_024
const MAX_IN_ALL = 4_096
/**
 * TCP_USER_TIMEOUT takes the closed window of a reader who pauses for silence. While the control connection stands, it
 * speaks for the peer; while it does not, 3 s are enough.
 */
const PATIENT_MS: Millis = 0

/** From before the connection is dialled until it is closed. */
export class Slot {
  readonly #abort = new AbortController()
  readonly #released: () => void
  #socket: TLSSocket | undefined

  constructor(released: () => void) {
    this.#released = released
  }

  /** Aborted by a StreamError. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** From here on the slot lives as long as the connection. */
  hold(socket: TLSSocket, silentMs: Millis): void {
    this.#socket = socket
    // Its user may not have come yet, or may be gone: an error without a listener would end the process.
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#released())
    boundSilence(socket, silentMs)
    resetOnClose(socket, true)
    socket.once('finish', () => resetOnClose(socket, false))
    if (this.signal.aborted || socket.destroyed) this.cut('connection closed')
  }

  bound(silentMs: Millis): void {
    if (this.#socket !== undefined) boundUnacknowledged(this.#socket, silentMs)
  }

  /** The connection is another slot's from now on, or there is none. */
  release(): void {
    this.#released()
  }

  cut(reason: string): void {
    this.#abort.abort(new StreamError(reason))
    this.#socket?.destroy()
    this.#released()
  }
}

export class StreamSlots {
  readonly #slots = new Map<number, Set<Slot>>()
  /** Hosts with a control connection. */
  readonly #linked = new Set<number>()
  #count = 0

  get count(): number {
    return this.#count
  }

  /** @throws {StreamError} too many */
  reserve(hostId: number): Slot {
    const slots = this.#slots.get(hostId) ?? new Set()
    if (slots.size >= MAX_OF_PEER)
      throw new StreamError(`${MAX_OF_PEER} streams with host ${hostId} are open`)
    if (this.#count >= MAX_IN_ALL) throw new StreamError(`${MAX_IN_ALL} streams are open`)
    this.#slots.set(hostId, slots)
    this.#count++
    const slot: Slot = new Slot(() => {
      if (!slots.delete(slot)) return
      this.#count--
      if (slots.size === 0 && this.#slots.get(hostId) === slots) this.#slots.delete(hostId)
    })
    slots.add(slot)
    return slot
  }

  /**
   * How long the other side may leave data unacknowledged before the kernel ends the connection; 0: the kernel
   * decides.
   */
  silentMs(hostId: number): Millis {
    return this.#linked.has(hostId) ? PATIENT_MS : DEAD_MS
  }

  linkUp(hostId: number): void {
    this.#linked.add(hostId)
    this.#bound(hostId)
  }

  linkDown(hostId: number): void {
    this.#linked.delete(hostId)
    this.#bound(hostId)
  }

  cut(hostId: number, reason: string): void {
    for (const slot of [...(this.#slots.get(hostId) ?? [])]) slot.cut(reason)
  }

  cutAll(reason: string): void {
    for (const hostId of [...this.#slots.keys()]) this.cut(hostId, reason)
  }

  #bound(hostId: number): void {
    const silentMs = this.silentMs(hostId)
    for (const slot of this.#slots.get(hostId) ?? []) slot.bound(silentMs)
  }
}
