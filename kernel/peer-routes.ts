/**
 * Routes to each remote host's slice over a TUN device. Routes of other programs are never touched.
 *
 * Those of the gateway path, those of direct paths, which are preferred, and one below them all that answers
 * "unreachable" for hosts that do not exist.
 */

import { Errno, NetlinkError } from 'netlink-ts/errors.ts'
import type { Request } from 'netlink-ts/message.ts'
import { AF_INET } from 'netlink-ts/route/addr.ts'
import {
  type Route,
  RT_TABLE_MAIN,
  routeAddRequest,
  routeDelRequest,
  routeList,
} from 'netlink-ts/route/route.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Ipv4, ipv4Bytes, ipv4FromBytes, type Prefix4 } from '../core/addr.ts'

/** docs/architecture/dataplane.md#routes: a direct path goes first; its route goes with its process. */
const GATEWAY_METRIC = 200
export const DIRECT_METRIC = 100
/** The worst there is, so that any other route to the same prefix is preferred. */
const GUARD_METRIC = 0xffff_ffff
/** Marks our routes, so that no other is mistaken for one: a number that /etc/iproute2/rt_protos leaves free. */
const RTPROT_FLATNET = 0xf7

export interface PeerRoute {
  readonly slice: Prefix4
  /** Preferred source of this host's own packets: its bridge address. */
  readonly src: Ipv4
  /** Of the path; that of the device when absent. */
  readonly mtu?: number | undefined
}

const prefixOf = ({ base, prefixLen }: Prefix4) => ({ address: ipv4Bytes(base), prefixLen })

const options = (ifindex: number, { slice, src, mtu }: PeerRoute, metric: number) => ({
  family: AF_INET,
  dst: prefixOf(slice),
  oif: ifindex,
  src: ipv4Bytes(src),
  metric,
  protocol: RTPROT_FLATNET,
  mtu,
})

/** The routes over the device that this file made. */
export function peerRouteList(
  route: NetlinkSocket,
  ifindex: number,
  metric: number = GATEWAY_METRIC,
): PeerRoute[] {
  return ours(route, ifindex, metric).flatMap(({ dst, src, mtu }) =>
    dst === undefined || src === undefined
      ? []
      : [
          {
            slice: { base: ipv4FromBytes(dst.address), prefixLen: dst.prefixLen },
            src: ipv4FromBytes(src),
            mtu,
          },
        ],
  )
}

const ours = (route: NetlinkSocket, ifindex: number, metric: number): Route[] =>
  routeList(route, { family: AF_INET, table: RT_TABLE_MAIN, oif: ifindex }).filter(
    (r) => r.protocol === RTPROT_FLATNET && r.metric === metric,
  )

/**
 * Makes the routes over the device exactly these: adds, changes and deletes. Idempotent.
 * @throws {NetlinkError} ENETDOWN: the device is down; EINVAL: `src` is no address of this host;
 *   EEXIST: another program has a route to the slice with this metric
 */
export function peerRoutesEnsure(
  route: NetlinkSocket,
  ifindex: number,
  wanted: readonly PeerRoute[],
  metric: number = GATEWAY_METRIC,
): void {
  const have = peerRouteList(route, ifindex, metric)
  const gone = have.filter((h) => !wanted.some((w) => isSameSlice(h, w)))
  const todo = wanted.filter(
    (w) => !have.some((h) => isSameSlice(h, w) && h.src === w.src && h.mtu === w.mtu),
  )
  // A changed one is deleted first: a replace would take away any route of that slice and metric.
  const changed = todo.filter((w) => have.some((h) => isSameSlice(h, w)))
  send(
    route,
    [...gone, ...changed].map((r) => routeDelRequest(options(ifindex, r, metric))),
    Errno.ESRCH,
  )
  send(
    route,
    todo.map((r) => routeAddRequest(options(ifindex, r, metric))),
    undefined,
  )
}

/** One request without reading the table, for when each millisecond counts. Route and device may be absent. */
export function directRouteDel(route: NetlinkSocket, ifindex: number, peer: PeerRoute): void {
  for (const outcome of route.executeAll([routeDelRequest(options(ifindex, peer, DIRECT_METRIC))]))
    if (outcome instanceof NetlinkError && !GONE.includes(outcome.errno)) throw outcome
}

const GONE: readonly number[] = [Errno.ESRCH, Errno.ENODEV]

const isSameSlice = (a: PeerRoute, b: PeerRoute): boolean =>
  a.slice.base === b.slice.base && a.slice.prefixLen === b.slice.prefixLen

/**
 * Answers "unreachable" for addresses of the supernet that no other route knows. Without it they would follow the
 * default route and leave this host, unmasked, for a network that may use the same addresses. Idempotent.
 */
export function supernetGuardEnsure(route: NetlinkSocket, supernet: Prefix4): void {
  send(route, [routeAddRequest(guard(supernet))], Errno.EEXIST)
}

/** Needs no privilege. */
export const hasSupernetGuard = (route: NetlinkSocket, { base, prefixLen }: Prefix4): boolean =>
  routeList(route, { family: AF_INET, table: RT_TABLE_MAIN }).some(
    (r) =>
      r.protocol === RTPROT_FLATNET &&
      r.type === 'unreachable' &&
      r.dst?.prefixLen === prefixLen &&
      ipv4FromBytes(r.dst.address) === base,
  )

/** Idempotent. */
export function supernetGuardDel(route: NetlinkSocket, supernet: Prefix4): void {
  send(route, [routeDelRequest(guard(supernet))], Errno.ESRCH)
}

const guard = (supernet: Prefix4) => ({
  family: AF_INET,
  dst: prefixOf(supernet),
  type: 'unreachable' as const,
  metric: GUARD_METRIC,
  protocol: RTPROT_FLATNET,
})

/** All are tried; then the first refusal is thrown that is not `tolerated`. */
function send(route: NetlinkSocket, requests: readonly Request[], tolerated: number | undefined): void {
  for (const outcome of route.executeAll(requests))
    if (outcome instanceof NetlinkError && outcome.errno !== tolerated) throw outcome
}
