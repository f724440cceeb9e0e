/** Reads members' messages about UDP paths: a limited number of each, and only well-formed ones. */

import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { ControlMessage } from '../../links/types.ts'
import { OfferError, parseOffer, type Received } from './offers.ts'
import type { P2pLinks } from './peer-session.ts'

/** A try takes five messages from each side, and the worst flapping makes one try a second. */
const BURST = 30
const PER_SECOND = 5

/** How many messages one member may send. */
export class MessageBudget {
  #left = BURST
  #at: Millis

  constructor(now: Millis) {
    this.#at = now
  }

  /** @returns whether the member may send one more */
  spend(now: Millis): boolean {
    this.#left = Math.min(BURST, this.#left + ((now - this.#at) / 1_000) * PER_SECOND)
    this.#at = now
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}

interface OfferInboxDeps {
  readonly scheduler: Scheduler
  readonly log: Log
  readonly links: Pick<P2pLinks, 'send'>
  count(name: 'refused', hostId: number, reason: string): void
}

export class OfferInbox {
  readonly #deps: OfferInboxDeps
  readonly #budgets = new Map<number, MessageBudget>()

  constructor(deps: OfferInboxDeps) {
    this.#deps = deps
  }

  /** @returns undefined: the message is ignored and counted; if its version is at fault, the peer gets an answer */
  read(hostId: number, given: ControlMessage): Received | undefined {
    const { scheduler, log, links, count } = this.#deps
    const now = scheduler.monotonic()
    const budget = this.#budgets.get(hostId) ?? new MessageBudget(now)
    this.#budgets.set(hostId, budget)
    if (!budget.spend(now)) {
      count('refused', hostId, 'too many')
      return undefined
    }
    try {
      return parseOffer(given)
    } catch (err) {
      if (!(err instanceof OfferError)) throw err
      count('refused', hostId, 'not understood')
      log.debug({ peer: hostId, reason: err.message }, 'p2p message was not understood')
      const { refused: attempt, message: reason } = err
      if (attempt !== undefined) links.send(hostId, { type: 'p2p.refuse', attempt, reason })
      return undefined
    }
  }

  forget(hostId: number): void {
    this.#budgets.delete(hostId)
  }
}
