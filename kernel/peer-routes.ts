/**
 * Routes to each remote host's slice over a TUN device. Routes of other programs are never touched.
 *
 * Those of the gateway path, those of direct paths, which are preferred, and below them those that answer
 * "unreachable": for hosts that do not exist, and for hosts that only another program's route leads to.
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
/** By a device of another program: after our own UDP, and before the gateways' TLS. */
export const CARRIER_METRIC = 150
/** Behind all ways that were proven or chosen, and before those that such a program sets by itself. */
const BARRIER_METRIC = 250
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
export function directRouteDel(
  route: NetlinkSocket,
  ifindex: number,
  peer: PeerRoute,
  metric: number = DIRECT_METRIC,
): void {
  for (const outcome of route.executeAll([routeDelRequest(options(ifindex, peer, metric))]))
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

const guard = (supernet: Prefix4) => unreachable(supernet, GUARD_METRIC)

const unreachable = (prefix: Prefix4, metric: number) => ({
  family: AF_INET,
  dst: prefixOf(prefix),
  type: 'unreachable' as const,
  metric,
  protocol: RTPROT_FLATNET,
})

/**
 * Answers "unreachable" for these slices and no others, where neither we nor a carrier that was proven has a way: a
 * program with routes of its own must not carry packets to a host that is kept out. Idempotent.
 */
export function barriersEnsure(route: NetlinkSocket, slices: readonly Prefix4[]): void {
  const have = routeList(route, { family: AF_INET, table: RT_TABLE_MAIN }).flatMap(
    ({ dst, metric, protocol, type }) =>
      dst === undefined || metric !== BARRIER_METRIC || protocol !== RTPROT_FLATNET || type !== 'unreachable'
        ? []
        : [{ base: ipv4FromBytes(dst.address), prefixLen: dst.prefixLen }],
  )
  const lacks = (list: readonly Prefix4[], slice: Prefix4): boolean =>
    !list.some(({ base, prefixLen }) => base === slice.base && prefixLen === slice.prefixLen)
  const gone = have.filter((slice) => lacks(slices, slice))
  const todo = slices.filter((slice) => lacks(have, slice))
  send(
    route,
    gone.map((slice) => routeDelRequest(unreachable(slice, BARRIER_METRIC))),
    Errno.ESRCH,
  )
  send(
    route,
    todo.map((slice) => routeAddRequest(unreachable(slice, BARRIER_METRIC))),
    Errno.EEXIST,
  )
}

/** Deletes the routes by carriers over any device: those of a gateway that was killed. */
export function carrierRoutesDel(route: NetlinkSocket): void {
  const left = routeList(route, { family: AF_INET, table: RT_TABLE_MAIN }).filter(
    ({ metric, protocol }) => metric === CARRIER_METRIC && protocol === RTPROT_FLATNET,
  )
  send(
    route,
    left.map(({ dst, oif }) => routeDelRequest({ family: AF_INET, dst, oif, metric: CARRIER_METRIC })),
    Errno.ESRCH,
  )
}

/** All are tried; then the first refusal is thrown that is not `tolerated`. */
function send(route: NetlinkSocket, requests: readonly Request[], tolerated: number | undefined): void {
  for (const outcome of route.executeAll(requests))
    if (outcome instanceof NetlinkError && outcome.errno !== tolerated) throw outcome
}
