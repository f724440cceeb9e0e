/** The lease store as the verbs open it, with the kernel as its witness. */

import { linkByName } from 'netlink-ts/route/link.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { ipOfCidr } from '../core/addr.ts'
import { parseAlias, sameAttachment } from '../core/attachment.ts'
import { systemClock } from '../core/clock.ts'
import { leasesOfLinks } from '../ipam/from-kernel.ts'
import type { Lease } from '../ipam/lease.ts'
import { type LiveFacts, netnsInode } from '../ipam/stale.ts'
import { openStore, type Store } from '../ipam/store/store.ts'
import { attachedLinks } from '../kernel/links.ts'
import type { Context } from './context.ts'

/** @param host for a lost store; undefined for delegated IPAM, whose links are another plugin's */
export function storeOf({ conf, log, until }: Context, host: NetlinkSocket | undefined): Store {
  return openStore({
    dataDir: conf.dataDir,
    network: conf.name,
    log,
    ...(until !== undefined && { lockUntil: until }),
    ...(host !== undefined && { rebuild: () => leasesOfLinks(attachedLinks(host), conf.name, systemClock) }),
  })
}

/** Whether a link of ours in the kernel has an address; they are listed once, when first asked. */
export function inUseBy(host: NetlinkSocket): (ip: string) => boolean {
  let known: ReadonlySet<string> | undefined
  return (ip) => {
    known ??= new Set(attachedLinks(host).map(({ cidr }) => ipOfCidr(cidr)))
    return known.has(ip)
  }
}

/** Without a socket (delegated IPAM) a lease is live as long as its namespace is. */
export function liveFacts(store: Store, host: NetlinkSocket | undefined): LiveFacts {
  return {
    bootId: store.bootId,
    netnsInode,
    isLive: (lease) => host === undefined || lease.hostIfname === '' || hasLink(host, lease),
  }
}

function hasLink(host: NetlinkSocket, lease: Lease): boolean {
  const owner = parseAlias(linkByName(host, lease.hostIfname)?.alias ?? '')?.attachment
  return owner !== undefined && sameAttachment(owner, lease)
}
