/** The kernel beside the leases: an attachment with a live link is alive, also when its files are old. */

import { ipOfCidr } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import { attachmentKey } from '../../core/attachment.ts'
import type { Lease } from '../../ipam/lease.ts'
import { bootId } from '../../kernel/boot.ts'
import type { AttachedLink } from '../../kernel/links.ts'
import type { LeaseSnapshot } from './source.ts'

export interface KernelView {
  /** Host ends of all networks. Ask before the leases are read: then each has its lease, which ADD writes first. */
  links(): readonly AttachedLink[]
  /**
   * Gives attachments that live in these networks the leases that they lack. Must be bounded in time.
   * @param registered by `attachmentKey`: what the link's alias does not hold, a call has registered
   */
  adopt(networks: ReadonlySet<string>, registered: (key: string) => Assignment | undefined): void
}

const nameOf = (link: AttachedLink): string => `${attachmentKey(link.attachment)} ${ipOfCidr(link.cidr)}`
const nameOfLease = (lease: Lease): string => `${attachmentKey(lease)} ${lease.ip}`

/**
 * Networks with a link that no lease of this boot names, and those with an unreadable file.
 *
 * One whose DEL came between may be among them: `adopt` looks again, under the lock. A pending lease counts as one:
 * its ADD is under way. `adopt` also repairs unreadable files, which an ADD does only for its own block.
 */
export function lackingLeases(links: readonly AttachedLink[], snapshot: LeaseSnapshot): Set<string> {
  const { live, pending, stale, unreadable } = snapshot
  const named = new Set([...live, ...pending, ...stale.filter(isOfThisBoot)].map(nameOfLease))
  const lacking = links.filter((link) => !named.has(nameOf(link))).map((link) => link.attachment.network)
  return new Set([...unreadable.map(({ network }) => network), ...lacking])
}

const isOfThisBoot = (lease: Lease): boolean => lease.bootId === bootId()

/** Where lease and link differ about which container lives, the link is right. Delegated IPAM has no leases. */
export function reconcileWithKernel(links: readonly AttachedLink[], snapshot: LeaseSnapshot): LeaseSnapshot {
  const standing = new Set(links.map(nameOf))
  const has = (lease: Lease): boolean => standing.has(nameOfLease(lease))
  // Made from its link: only the link can show that it is gone.
  const isDead = (lease: Lease): boolean => lease.netns === '' && lease.hostIfname !== '' && !has(lease)
  // In a namespace that outlived its file, or in another one than the old lease says.
  const isAlive = (lease: Lease): boolean => lease.state === 'active' && isOfThisBoot(lease) && has(lease)
  return {
    ...snapshot,
    live: [...snapshot.live.filter((lease) => !isDead(lease)), ...snapshot.stale.filter(isAlive)],
    stale: [...snapshot.stale.filter((lease) => !isAlive(lease)), ...snapshot.live.filter(isDead)],
  }
}
