/** Leases as the host ends in the kernel tell them: what a lost or old store is made whole from. */
import { ipOfCidr } from '../core/addr.ts'
import type { Clock } from '../core/clock.ts'
import { bootId } from '../kernel/boot.ts'
import type { AttachedLink } from '../kernel/links.ts'
import type { Lease } from './lease.ts'

/** Without the namespace, which an alias does not tell: such a lease holds while its link stands, in this boot. */
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
