/** Tells the owner of errors of socket and device, each at most once in a step. */
import type { PeerState } from './peer.ts'
import type { PlaneEvents } from './types.ts'

export class ErrorReports {
  readonly #events: PlaneEvents
  /** `hostId errno` of the errors reported in this step. */
  readonly #reported = new Set<string>()
  #deviceTold = false

  constructor(events: PlaneEvents) {
    this.#events = events
  }

  /** A step begins. */
  begin(): void {
    if (this.#reported.size > 0) this.#reported.clear()
    this.#deviceTold = false
  }

  sendFailed(peer: PeerState, errno: number): void {
    peer.counters.txDropped++
    const what = `${peer.hostId} ${errno}`
    if (this.#reported.has(what)) return
    this.#reported.add(what)
    this.#events.onSendError?.(peer, errno)
  }

  deviceFailed(errno: number): void {
    if (!this.#deviceTold) this.#events.onDeviceError?.(errno)
    this.#deviceTold = true
  }
}
