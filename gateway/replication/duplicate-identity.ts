/** Finds the second machine of one identity while the first one's link stands, so that it never gets one of its own. */

import type { Millis } from '../../core/clock.ts'
import type { SyncParts } from './deps.ts'
import type { Links } from './links.ts'
import type { Hello } from './messages.ts'
import type { Arrivals } from './pages.ts'
import type { Keeper } from './replica-store.ts'
import type { Replicas } from './replicas.ts'

/** A link whose other end has started anew is dead within 3.25 s; one that stands for longer has a living end. */
const PROVEN_MS: Millis = 4_000

interface RivalsParts extends Pick<SyncParts, 'scheduler'> {
  readonly links: Links
  readonly replicas: Replicas
  readonly keeper: Keeper
}

export class Rivals {
  readonly #parts: RivalsParts
  /** The last that was heard, for each host: bounded by the members, as only they get that far. */
  readonly #heard = new Map<
    number,
    { readonly nonce: string; readonly link: Arrivals; readonly at: Millis }
  >()

  constructor(parts: RivalsParts) {
    this.#parts = parts
  }

  /** Heard twice, with the same link standing all the while between: then there are two that live. */
  hear(hostId: number, { hostId: claimed, nonce }: Hello): void {
    const { keeper, links, replicas, scheduler } = this.#parts
    const link = links.arrivals(hostId)
    const replica = replicas.get(hostId)
    if (claimed !== hostId || link === undefined || replica === undefined) return
    if (!links.isGreeted(hostId) || replica.known.nonce === nonce) return
    const now = scheduler.monotonic()
    const before = this.#heard.get(hostId)
    if (before?.nonce !== nonce || before.link !== link) this.#heard.set(hostId, { nonce, link, at: now })
    else if (now - before.at >= PROVEN_MS) keeper.keepOut(replica)
  }
}
