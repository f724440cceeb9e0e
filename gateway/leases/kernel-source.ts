/** The kernel view of the running gateway: host ends in the kernel, and the store that adopts them. */

import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { ipOfCidr } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import { attachmentKey, isName } from '../../core/attachment.ts'
import { type Millis, systemClock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import { adopt } from '../../ipam/adopt.ts'
import { leasesOfLinks } from '../../ipam/from-kernel.ts'
import type { Lease } from '../../ipam/lease.ts'
import { openStore } from '../../ipam/store/store.ts'
import { type AttachedLink, attachedLinks, nameLinks } from '../../kernel/links.ts'
import type { KernelView } from './kernel-view.ts'

/** Requests wait meanwhile; what is locked by an ADD now is free in the next run. */
const LOCK_MS: Millis = 50
/** Doubled addresses that were logged; when there are more, some are logged again. */
const MAX_TOLD = 1_000

export function kernelView(dataDir: string, log: Log): KernelView {
  const told = new Set<string>()
  return {
    links() {
      using host = NetlinkSocket.open(NETLINK_ROUTE)
      const links = attachedLinks(host)
      nameLinks(host, links)
      return links
    },
    adopt(networks, registered) {
      if (told.size > MAX_TOLD) told.clear()
      // An alias is a stranger's text, and becomes the name of a folder.
      for (const network of [...networks].filter(isName)) {
        const rebuild = () =>
          leasesOfLinks(linksNow(), network, systemClock).map((lease) => completed(lease, registered))
        adopt(openStore({ dataDir, network, log, lockTimeoutMs: LOCK_MS, rebuild }), systemClock, told)
      }
    },
  }
}

function completed(lease: Lease, registered: (key: string) => Assignment | undefined): Lease {
  const known = registered(attachmentKey(lease))
  if (known === undefined) return lease
  const { name, aliases, ports, httpPort } = known
  const mac = known.ips.some((cidr) => ipOfCidr(cidr) === lease.ip) ? known.mac : ''
  return { ...lease, mac, ...(name !== undefined && { name }), aliases, ports, httpPort }
}

function linksNow(): AttachedLink[] {
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  return attachedLinks(host)
}
