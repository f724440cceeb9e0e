/** TCP ports of this host that its containers may not reach: the set `refused_ports`. */

import { setElemGet } from 'netlink-ts/netfilter/elemget.ts'
import { NFPROTO_INET, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import { setElemAddRequest, setGet } from 'netlink-ts/netfilter/set.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from 'netlink-ts/socket.ts'
import { TABLE } from './rules.ts'

const SET = 'refused_ports'

/** Idempotent. Without the table there are no containers either; a later call does it then. */
export function refusePort(port: number): void {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  if (setGet(socket, NFPROTO_INET, TABLE, SET) === undefined) return
  const key = Uint8Array.of(port >> 8, port & 0xff)
  if (setElemGet(socket, NFPROTO_INET, TABLE, SET, [key])[0] !== undefined) return
  nftTransaction(socket, [
    setElemAddRequest({ family: NFPROTO_INET, table: TABLE, set: SET, elements: [{ key }] }),
  ])
}
