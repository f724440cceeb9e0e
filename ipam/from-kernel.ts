/**
 * Leases made from the host ends in the kernel, and how a store must change to agree with them.
 *
 * Writes nothing.
 */

import { ipOfCidr } from '../core/addr.ts'
import { attachmentKey } from '../core/attachment.ts'
import type { Clock } from '../core/clock.ts'
import { bootId } from '../kernel/boot.ts'
import type { AttachedLink } from '../kernel/links.ts'
import type { Lease } from './lease.ts'

/** Without the namespace, which an alias does not name: such a lease is valid in this boot, while its link exists. */
export function leasesOfLinks(links: readonly AttachedLink[], network: string, clock: Clock): Lease[] {
  const createdAt = new Date(clock.now()).toISOString()
  return links
    .filter((link) => link.attachment.network === network)
    .map(({ attachment, cidr, ifname }) => ({
      ...attachment,
      ip: ipOfCidr(cidr),
      mac: '',
      hostIfname: ifname,
      netns: '',
      netnsInode: '',
      bootId: bootId(),
      createdAt,
      state: 'active' as const,
    }))
}

export interface Adoption {
  /** Their attachment lives under another address now, or is gone while another has the address. */
  readonly dropped: readonly Lease[]
  readonly adopted: readonly Lease[]
  /** Two live links with one address, which no change of leases can repair. */
  readonly rivals: readonly (readonly [Lease, Lease])[]
}

/**
 * A store can be intact and of this boot, and yet old: restored from a backup, or on another mount. A live link is
 * newer than any lease of its address, except a lease whose ADD is under way.
 * @param live of the same network, one for each link, as leases of this boot
 */
export function adoptionOf(leases: readonly Lease[], live: readonly Lease[]): Adoption {
  const byIp = new Map(leases.map((lease) => [lease.ip, lease]))
  const byKey = new Map(leases.map((lease) => [attachmentKey(lease), lease]))
  const liveIp = new Map(live.map((link) => [attachmentKey(link), link.ip]))
  const dropped = new Set<Lease>()
  const adopted = new Map<string, Lease>()
  const rivals: [Lease, Lease][] = []
  const seen = new Set<string>()
  for (const link of live) {
    const key = attachmentKey(link)
    const own = byKey.get(key)
    if (seen.has(key) || (own !== undefined && agrees(own, link))) continue
    seen.add(key)
    const holder = adopted.get(link.ip) ?? byIp.get(link.ip)
    // With delegated IPAM there is no link of ours to contradict the lease.
    const lives = holder?.hostIfname === '' || (holder && liveIp.get(attachmentKey(holder)) === link.ip)
    if (holder !== undefined && holder !== own && lives) {
      rivals.push([holder, link])
      continue
    }
    if (own !== undefined && own.ip !== link.ip) dropped.add(own)
    if (holder !== undefined && holder !== own) dropped.add(holder)
    const mac = link.mac === '' && own?.ip === link.ip ? own.mac : link.mac
    adopted.set(link.ip, { ...own, ...link, mac })
  }
  return { dropped: [...dropped], adopted: [...adopted.values()], rivals }
}

/** Of the same boot and address; or pending, as an ADD under way has yet to remove the link that stands. */
const agrees = (own: Lease, link: Lease): boolean =>
  own.bootId === link.bootId && (own.ip === link.ip || own.state === 'pending')
