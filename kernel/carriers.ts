/** Devices of other programs by which containers of other hosts may come: two sets of table `inet flatnet`. */

import { port as portBytes } from 'netlink-ts/netfilter/keys.ts'
import { NFPROTO_INET, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import { type SetElement, setElemList, setGet } from 'netlink-ts/netfilter/set.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from 'netlink-ts/socket.ts'
import { ifnameKey, replaceRequests } from './rules.ts'
import { TABLE } from './rules-text.ts'

export interface Carrier {
  readonly ifname: string
  /** UDP port of the probes, which come from the bridge addresses of other hosts. */
  readonly port: number
}

/**
 * Makes this the only one; undefined: there is none. Idempotent. Without the table there is nothing that would keep
 * packets out either.
 * @returns whether something was changed
 */
export function ensureCarrier(carrier: Carrier | undefined): boolean {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  if (setGet(socket, NFPROTO_INET, TABLE, 'carriers') === undefined) return false
  const wanted = {
    carriers: carrier === undefined ? [] : [{ key: ifnameKey(carrier.ifname) }],
    carrier_ports: carrier === undefined ? [] : [{ key: portBytes(carrier.port) }],
  }
  const requests = Object.entries(wanted).flatMap(([set, elements]) =>
    isSame(setElemList(socket, NFPROTO_INET, TABLE, set), elements) ? [] : replaceRequests(set, elements),
  )
  if (requests.length > 0) nftTransaction(socket, requests)
  return requests.length > 0
}

const isSame = (present: readonly SetElement[], wanted: readonly SetElement[]): boolean =>
  present.length === wanted.length &&
  wanted.every(({ key }) => present.some((element) => Buffer.compare(element.key, key) === 0))
