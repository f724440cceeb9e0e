/** Whether packets go over one peer's way: promotes it by the gateway's order, and demotes it without asking. */
import type { DemotionReason, FromProcess } from '../protocol.ts'
import type { Prober } from './prober.ts'

export interface PromotionDeps {
  readonly hostId: number
  /** The present try. */
  attempt(): string
  prober(): Pick<Prober, 'isFullSize' | 'isProven' | 'isSuspect'>
  /** What the way carries: datagrams, or packets. */
  readonly unit: 'datagrams' | 'packets'
  readonly routes: {
    /** @returns why the route could not be set */
    add(hostId: number): string | undefined
    remove(hostId: number): void
  }
  report(message: FromProcess): void
  /** Sends a `state` line. */
  reportNow(): void
  judged(what: 'lost' | 'stays', reason: string): void
  /** Its route is gone. */
  left?(): void
}

/** Of a reason in a line (protocol.ts). */
const MAX_REASON = 200

export class Promotion {
  readonly #deps: PromotionDeps
  #generation = 0
  #isPromoted = false
  #isGatewayUp = false

  constructor(deps: PromotionDeps) {
    this.#deps = deps
  }

  get isPromoted(): boolean {
    return this.#isPromoted
  }

  /** For the session's view. */
  get view(): { readonly generation: number; readonly isPromoted: boolean; readonly suspect: boolean } {
    const { isProven, isSuspect } = this.#deps.prober()
    const isPromoted = this.#isPromoted
    return { generation: this.#generation, isPromoted, suspect: isSuspect || (isPromoted && !isProven) }
  }

  gatewayPath(isUp: boolean): void {
    this.#isGatewayUp = isUp
    // While the gateway path was down, the failing way was the better of two bad ones.
    if (isUp && !this.#deps.prober().isProven) this.demoteSelf('no answer')
  }

  promote(attempt: string, generation: number): void {
    const { hostId, report, reportNow, routes } = this.#deps
    const reason = this.#whyNot(attempt, generation) ?? routes.add(hostId)
    if (reason !== undefined) {
      report({ type: 'notPromoted', hostId, attempt, generation, reason: reason.slice(0, MAX_REASON) })
      return
    }
    this.#generation = generation
    this.#isPromoted = true
    report({ type: 'promoted', hostId, attempt, generation })
    reportNow()
  }

  /** Ignores an order that is older than the promotion. */
  demote(generation: number, reason: string): void {
    if (generation < this.#generation) return
    this.#generation = generation
    this.#leave(reason)
  }

  /** Nothing if it is not promoted. Raises the generation, so that a promotion already on its way counts as old. */
  demoteSelf(reason: DemotionReason): void {
    if (!this.#isPromoted) return
    this.#generation++
    this.#leave(reason)
  }

  /** The way does not answer any more. */
  lost(reason: DemotionReason): void {
    // Never demote to a gateway path that is down: docs/architecture/paths.md#better-of-two.
    const stays = this.#isPromoted && !this.#isGatewayUp
    this.#deps.judged(stays ? 'stays' : 'lost', reason)
    if (this.#isPromoted && !stays) this.demoteSelf(reason)
    else this.#deps.reportNow()
  }

  /** The session ends: says nothing to the gateway. */
  drop(): void {
    if (this.#isPromoted) this.#deps.routes.remove(this.#deps.hostId)
    this.#isPromoted = false
  }

  #whyNot(attempt: string, generation: number): string | undefined {
    const { isFullSize, isProven, isSuspect } = this.#deps.prober()
    if (attempt !== this.#deps.attempt()) return 'another attempt'
    if (generation < this.#generation) return 'an older generation'
    if (!isProven) return 'not proven'
    if (isSuspect) return 'a probe is without an answer'
    return isFullSize ? undefined : `full-size ${this.#deps.unit} do not arrive`
  }

  #leave(reason: string): void {
    // First of all: TCP connections stand still until the route is gone.
    this.drop()
    const { attempt, hostId, left, report, reportNow } = this.#deps
    left?.()
    report({ type: 'demoted', hostId, attempt: attempt(), generation: this.#generation, reason })
    reportNow()
  }
}
