/** The gateway's part of table `inet flatnet`: ports that containers reach, and ports that they do not. */

import { concat, port as portBytes } from 'netlink-ts/netfilter/keys.ts'
import { NFPROTO_INET, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import { type SetElement, setElemList, setGet } from 'netlink-ts/netfilter/set.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from 'netlink-ts/socket.ts'
import { ipv4Bytes, parseIpv4 } from '../core/addr.ts'
import { parseIpv6 } from '../core/addr6.ts'
import type { HostPort } from '../core/endpoint.ts'
import { ifnameKey, replaceRequests } from './rules.ts'
import { TABLE } from './rules-text.ts'

export interface GatewayPorts {
  /** Every container reaches them: the ingress. */
  readonly open: readonly number[]
  /** No container reaches them: this gateway's port for other gateways. */
  readonly refused: readonly number[]
  /** Where other gateways listen; names are left out. */
  readonly members: readonly HostPort[]
}

/** More than 254 hosts with all their addresses; what is beyond them is left out. */
const MAX_MEMBERS = 4_000

/**
 * Idempotent. Without the table there are no containers either; a later call does it then.
 * @returns whether something was changed
 */
export function ensureGatewayPorts({ open, refused, members }: GatewayPorts): boolean {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  if (setGet(socket, NFPROTO_INET, TABLE, 'members6') === undefined) return false
  const endpoints = members.slice(0, MAX_MEMBERS)
  const wanted = {
    open_ports: open.map(portBytes),
    refused_ports: refused.map(portBytes),
    members: endpoints.flatMap(keyOf4),
    members6: endpoints.flatMap(keyOf6),
  }
  const requests = Object.entries(wanted).flatMap(([set, keys]) => {
    const elements = distinct(keys).map((key) => ({ key }))
    return isSame(setElemList(socket, NFPROTO_INET, TABLE, set), elements)
      ? []
      : replaceRequests(set, elements)
  })
  if (requests.length > 0) nftTransaction(socket, requests)
  return requests.length > 0
}

/** A bridge, and this host's address on it. */
export interface NameServer {
  readonly bridge: string
  readonly address: string
}

/**
 * Containers reach port 53 of these addresses by these bridges. Idempotent; without the table, as above.
 * @returns whether something was changed
 */
export function ensureNameServers(places: readonly NameServer[]): boolean {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  if (setGet(socket, NFPROTO_INET, TABLE, 'name_servers') === undefined) return false
  const elements = places.flatMap(({ bridge, address }) => {
    const ip = parseIpv4(address)
    return ip === undefined ? [] : [{ key: concat(ifnameKey(bridge), ipv4Bytes(ip)) }]
  })
  if (isSame(setElemList(socket, NFPROTO_INET, TABLE, 'name_servers'), elements)) return false
  nftTransaction(socket, replaceRequests('name_servers', elements))
  return true
}

function keyOf4({ host, port }: HostPort): Uint8Array[] {
  const ip = parseIpv4(host)
  return ip === undefined ? [] : [concat(ipv4Bytes(ip), portBytes(port))]
}

function keyOf6({ host, port }: HostPort): Uint8Array[] {
  const groups = parseIpv6(host)
  const bytes = groups?.flatMap((group) => [group >> 8, group & 0xff])
  return bytes === undefined ? [] : [concat(Uint8Array.from(bytes), portBytes(port))]
}

const textOf = (key: Uint8Array): string => key.join()

const distinct = (keys: readonly Uint8Array[]): Uint8Array[] => [
  ...new Map(keys.map((key) => [textOf(key), key])).values(),
]

function isSame(present: readonly SetElement[], wanted: readonly SetElement[]): boolean {
  const has = new Set(present.map(({ key }) => textOf(key)))
  return has.size === wanted.length && wanted.every(({ key }) => has.has(textOf(key)))
}
