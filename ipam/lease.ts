/**
 * What a lease is: one address of the slice, held by one attachment, as it stands on disk
 * (docs/architecture/leases.md#lease).
 */

import type { PortMapping } from '../core/api.ts'
import type { Attachment } from '../core/attachment.ts'

export interface Lease extends Attachment {
  /** Address without prefix length, e.g. `10.100.1.10`. */
  readonly ip: string
  /** Of the container's interface; empty when another plugin made the interface (delegated IPAM). */
  readonly mac: string
  /** Host end of the veth; empty for delegated IPAM. */
  readonly hostIfname: string
  /** CNI_NETNS as given, e.g. `/run/netns/netns-1b2c`. */
  readonly netns: string
  /** `<dev>:<ino>` of the namespace file at ADD; a file of the same name with another inode is another namespace. */
  readonly netnsInode: string
  /** /proc/sys/kernel/random/boot_id at ADD. */
  readonly bootId: string
  readonly name?: string
  readonly aliases?: readonly string[]
  readonly ports?: readonly PortMapping[]
  /** What ingress talks to when the request names no port. */
  readonly httpPort?: number
  /** ISO 8601, UTC. */
  readonly createdAt: string
  /** `pending` until the kernel objects stand; the gateway shows only `active` ones. */
  readonly state: 'pending' | 'active'
}
