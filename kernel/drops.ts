/** What the ruleset dropped, by reason: its named counters. They begin anew when the ruleset is loaded. */

import { counterList } from 'netlink-ts/netfilter/counter.ts'
import { NFPROTO_BRIDGE, NFPROTO_INET } from 'netlink-ts/netfilter/nfnetlink.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from 'netlink-ts/socket.ts'
import { TABLE } from './rules-text.ts'

/** Packets by the counter's name in conf/flatnet.nft, e.g. `foreign_source`. @throws {NetlinkError} EPERM: not root */
export function droppedPackets(): ReadonlyMap<string, number> {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  return new Map(
    [NFPROTO_INET, NFPROTO_BRIDGE].flatMap((family) =>
      counterList(socket, family, TABLE).map(({ name, packets }) => [name, Number(packets)] as const),
    ),
  )
}
