/** Reads members' messages about UDP paths: a limited number of each, and only well-formed ones. */

import type { Log } from '../../../core/log.ts'
import { type Allowance, Bucket } from '../../base/bucket.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { ControlMessage } from '../../links/types.ts'
import { OfferError, parseOffer, type Received } from './offers.ts'
import type { P2pLinks } from './p2p-links.ts'

/** Of one member: a try takes five messages from each side, and the worst flapping makes one try a second. */
export const MESSAGES: Allowance = { burst: 30, perSecond: 5 }

interface OfferInboxDeps {
  readonly scheduler: Scheduler
  readonly log: Log
  readonly links: Pick<P2pLinks, 'send'>
  count(name: 'refused', hostId: number, reason: string): void
}

export class OfferInbox {
  readonly #deps: OfferInboxDeps
  readonly #budgets = new Map<number, Bucket>()

  constructor(deps: OfferInboxDeps) {
    this.#deps = deps
  }

  /** @returns undefined: the message is ignored and counted; if its version is at fault, the peer gets an answer */
  read(hostId: number, given: ControlMessage): Received | undefined {
    const { scheduler, log, links, count } = this.#deps
    const budget = this.#budgets.get(hostId) ?? new Bucket(MESSAGES)
    this.#budgets.set(hostId, budget)
    if (!budget.spend(1, scheduler.monotonic())) {
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
