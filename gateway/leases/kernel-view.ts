/** The kernel beside the leases: who has a live link is alive, and has a lease, also when the files come from a backup. */

import { ipOfCidr } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import { attachmentKey } from '../../core/attachment.ts'
import type { Lease } from '../../ipam/lease.ts'
import { bootId } from '../../kernel/boot.ts'
import type { AttachedLink } from '../../kernel/links.ts'
import type { LeaseSnapshot } from './source.ts'

export interface KernelView {
  /** Host ends of all networks. To be asked before the leases are read: then each has its lease, as that is made first. */
  links(): readonly AttachedLink[]
  /**
   * Gives what lives in these networks the leases that it lacks. Must be bounded in time.
   * @param registered by `attachmentKey`: what an alias does not tell was told by a call
   */
  adopt(networks: ReadonlySet<string>, registered: (key: string) => Assignment | undefined): void
}

const nameOf = (link: AttachedLink): string => `${attachmentKey(link.attachment)} ${ipOfCidr(link.cidr)}`
const nameOfLease = (lease: Lease): string => `${attachmentKey(lease)} ${lease.ip}`

/**
 * Networks with a link that no lease of this boot names. One whose DEL went between may be among them: who adopts looks
 * again, under the lock. A pending lease is one: its ADD is under way. And those with a file that could not be read, which
 * who adopts puts right: an ADD does that only for the block that it takes its address from.
 */
export function lackingLeases(links: readonly AttachedLink[], snapshot: LeaseSnapshot): Set<string> {
  const { live, pending, stale, unreadable } = snapshot
  const named = new Set([...live, ...pending, ...stale.filter(isOfThisBoot)].map(nameOfLease))
  const lacking = links.filter((link) => !named.has(nameOf(link))).map((link) => link.attachment.network)
  return new Set([...unreadable.map(({ network }) => network), ...lacking])
}

const isOfThisBoot = (lease: Lease): boolean => lease.bootId === bootId()

/** Where lease and link differ about who lives, the link is right; of delegated IPAM there is none. */
export function reconcileWithKernel(links: readonly AttachedLink[], snapshot: LeaseSnapshot): LeaseSnapshot {
  const standing = new Set(links.map(nameOf))
  const has = (lease: Lease): boolean => standing.has(nameOfLease(lease))
  // Made from its link: nothing but the link can tell that it is gone.
  const isDead = (lease: Lease): boolean => lease.netns === '' && lease.hostIfname !== '' && !has(lease)
  // In a namespace that outlived its file, or in another one than the old lease says.
  const isAlive = (lease: Lease): boolean => lease.state === 'active' && isOfThisBoot(lease) && has(lease)
  return {
    ...snapshot,
    live: [...snapshot.live.filter((lease) => !isDead(lease)), ...snapshot.stale.filter(isAlive)],
    stale: [...snapshot.stale.filter((lease) => !isAlive(lease)), ...snapshot.live.filter(isDead)],
  }
}
