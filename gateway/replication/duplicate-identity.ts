/**
 * Finds the second machine of one identity while the first one's link stands.
 *
 * Without it the second would never get a link, and go unseen.
 */

import type { Millis } from '../../core/clock.ts'
import type { ReplicationDeps } from './deps.ts'
import type { Hello } from './messages.ts'
import type { Arrivals } from './pages.ts'
import type { ReplicationPeers } from './peers.ts'
import type { ReplicaStore } from './replica-store.ts'
import type { Replicas } from './replicas.ts'

/** A link whose other end has started anew is dead within 3.25 s; one that stands for longer has a living end. */
const PROVEN_MS: Millis = 4_000

interface DuplicateIdentityDeps extends Pick<ReplicationDeps, 'scheduler'> {
  readonly peers: ReplicationPeers
  readonly replicas: Replicas
  readonly replicaStore: ReplicaStore
}

export class DuplicateIdentity {
  readonly #deps: DuplicateIdentityDeps
  /** The last hello of each host: bounded by the members, as only they get that far. */
  readonly #heard = new Map<
    number,
    { readonly nonce: string; readonly link: Arrivals; readonly at: Millis }
  >()

  constructor(deps: DuplicateIdentityDeps) {
    this.#deps = deps
  }

  /** Two hellos while the same link stands all the time between: then there are two machines that live. */
  onHello(hostId: number, { hostId: claimed, nonce }: Hello): void {
    const { replicaStore, peers, replicas, scheduler } = this.#deps
    const link = peers.arrivals(hostId)
    const replica = replicas.get(hostId)
    if (claimed !== hostId || link === undefined || replica === undefined) return
    if (!peers.isGreeted(hostId) || replica.known.nonce === nonce) return
    const now = scheduler.monotonic()
    const before = this.#heard.get(hostId)
    if (before?.nonce !== nonce || before.link !== link) this.#heard.set(hostId, { nonce, link, at: now })
    else if (now - before.at >= PROVEN_MS) replicaStore.keepOut(replica)
  }
}
