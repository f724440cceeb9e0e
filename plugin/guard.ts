/** What ADD does for the few containers whose port has elements of its own (kernel/guard.ts). */

import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { forgetPort, guardPort, isCommon } from '../kernel/guard.ts'
import { Netfilter } from '../kernel/netfilter.ts'
import type { Plan } from './plan.ts'
import type { Undo } from './undo.ts'

/** In a container's namespace the first interface behind `lo` has this index, and no later one has. */
const FIRST_INDEX = 2

/**
 * Before the container's end is up.
 * @param index of that end: any other says that the container may have had a port of ours before
 */
export function guard(
  host: NetlinkSocket,
  netfilter: Netfilter,
  plan: Plan,
  index: number,
  undo: Undo,
): void {
  if (!plan.antiSpoof || (isCommon(plan) && index === FIRST_INDEX)) return
  undo.push('what the port passes', () => {
    using own = new Netfilter()
    forgetPort(own, plan.ip)
  })
  guardPort(host, netfilter, { name: plan.hostIfname, mac: plan.mac, ip: plan.ip })
}
