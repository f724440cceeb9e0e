/** Our links as the kernel knows them: the host ends whose alias names an attachment. */

import { linkAltNameAddRequest, linkList } from 'netlink-ts/route/link.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { ipOfCidr } from '../core/addr.ts'
import { type Attachment, addressName, parseAlias } from '../core/attachment.ts'

export interface AttachedLink {
  readonly attachment: Attachment
  /** CIDR of the container, e.g. `10.100.1.10/24`. */
  readonly cidr: string
  readonly ifname: string
  readonly index: number
  /** It has its address as a second name, so that the kernel refuses another link with it. */
  readonly isNamed: boolean
}

/** Every live host end in the namespace of `host`, of all networks. */
export function attachedLinks(host: NetlinkSocket): AttachedLink[] {
  return linkList(host, { kind: 'veth' }).flatMap((link) => {
    const parsed = parseAlias(link.alias ?? '')
    if (parsed === undefined) return []
    const isNamed = link.altNames.includes(addressName(ipOfCidr(parsed.cidr)))
    return [{ ...parsed, ifname: link.name, index: link.index, isNamed }]
  })
}

/**
 * Names those that are not: made by an older Flatnet, or renamed by hand. Refusals say nothing new: the kernel
 * has no such names, another link has the address, or the link is gone.
 */
export function nameLinks(host: NetlinkSocket, links: readonly AttachedLink[]): void {
  const unnamed = links.filter((link) => !link.isNamed)
  if (unnamed.length === 0) return
  host.executeAll(
    unnamed.map(({ index, cidr }) => linkAltNameAddRequest({ index, altName: addressName(ipOfCidr(cidr)) })),
  )
}
