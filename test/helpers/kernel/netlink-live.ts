/** A private namespace with netlink sockets in it, for the live tests of netlink-ts. */

import { close } from 'netlink-ts/libc.ts'
import { openNetns } from 'netlink-ts/netns.ts'
import { NETLINK_NETFILTER, NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { Test } from 'tap'
import { type Netns, netns } from './netns.ts'

export interface Live extends Netns {
  /** Descriptor of the namespace. */
  readonly fd: number
  readonly route: NetlinkSocket
  readonly netfilter: NetlinkSocket
}

export async function live(t: Pick<Test, 'teardown'>): Promise<Live> {
  const ns = await netns(t)
  const fd = openNetns(ns.path)
  const route = NetlinkSocket.open(NETLINK_ROUTE, { netns: fd })
  const netfilter = NetlinkSocket.open(NETLINK_NETFILTER, { netns: fd })
  t.teardown(() => {
    route.close()
    netfilter.close()
    close(fd)
  })
  return { ...ns, fd, route, netfilter }
}
