/** Our links as the kernel knows them: the host ends whose alias names an attachment. What a lost store is rebuilt from. */

import { linkList } from 'netlink-ts/route/link.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Attachment, parseAlias } from '../core/attachment.ts'

export interface AttachedLink {
  readonly attachment: Attachment
  /** CIDR of the container, e.g. `10.100.1.10/24`. */
  readonly cidr: string
  readonly ifname: string
  readonly index: number
}

/** Every live host end in the namespace of `host`, of all networks. */
export function attachedLinks(host: NetlinkSocket): AttachedLink[] {
  return linkList(host, { kind: 'veth' }).flatMap((link) => {
    const parsed = parseAlias(link.alias ?? '')
    return parsed === undefined ? [] : [{ ...parsed, ifname: link.name, index: link.index }]
  })
}
