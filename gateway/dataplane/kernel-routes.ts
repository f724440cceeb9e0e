/** Sets the kernel's routes to other hosts, and repairs the device's settings when they were lost. */

import { Errno, NetlinkError } from 'netlink-ts/errors.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { Ipv4, Prefix4 } from '../../core/addr.ts'
import type { Log } from '../../core/log.ts'
import {
  type PeerRoute,
  peerRouteList,
  peerRoutesEnsure,
  supernetGuardEnsure,
} from '../../kernel/peer-routes.ts'
import type { Tun } from '../../kernel/tun.ts'
import { configureTun } from '../../kernel/tun-link.ts'
import { uplinkMtu } from '../../kernel/uplink.ts'
import type { Slices } from '../registry/slices.ts'
import { TUN_IFNAME } from './device.ts'

export interface KernelRoutesDeps {
  readonly supernet: Prefix4
  readonly slices: Slices
  /** The bridge's. The device bears it too, so that it is this host's without any container. */
  readonly address: Ipv4
  readonly log: Log
  tun(): Tun | undefined
}

export class KernelRoutes {
  readonly #deps: KernelRoutesDeps
  #problem: string | undefined

  constructor(deps: KernelRoutesDeps) {
    this.#deps = deps
  }

  /** Why routes could not be set the last time; undefined: they were. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** As the device is made, and made again. */
  link(): { ifname: string; mtu: number; address: Ipv4 } {
    return { ifname: TUN_IFNAME, mtu: withRoutes(uplinkMtu), address: this.#deps.address }
  }

  /** Hosts that an earlier run had routes to. */
  hostsOf({ ifindex }: Tun): number[] {
    const routes = withRoutes((route) => peerRouteList(route, ifindex))
    return routes.flatMap(({ slice }) => this.#deps.slices.hostOf(slice.base) ?? [])
  }

  /**
   * Makes the routes those to these hosts and no others. It is tried every few seconds, so a problem is logged once.
   */
  apply(hostIds: ReadonlySet<number>): void {
    try {
      this.#ensureOnFitDevice(hostIds)
      this.#problem = undefined
    } catch (err) {
      const what = err instanceof Error ? err.message : String(err)
      if (what !== this.#problem) this.#deps.log.error({ err }, 'routes to other hosts could not be set')
      this.#problem = what
    }
  }

  /** A person or a program may set the device down or take its address away; our routes go with either. */
  #ensureOnFitDevice(hostIds: ReadonlySet<number>): void {
    const tun = this.#deps.tun()
    try {
      this.#ensure(tun, hostIds)
    } catch (err) {
      if (tun === undefined || !isUnfit(err)) throw err
      configureTun(this.link())
      this.#deps.log.warn({ ifname: TUN_IFNAME }, 'tunnel device was set up again')
      this.#ensure(tun, hostIds)
    }
  }

  /** The guard is set also without a device: else packets for other hosts would leave by the default route. */
  #ensure(tun: Tun | undefined, hostIds: ReadonlySet<number>): void {
    const { address, slices, supernet } = this.#deps
    const wanted = [...hostIds].map((id): PeerRoute => ({ slice: slices.sliceOf(id), src: address }))
    withRoutes((route) => {
      supernetGuardEnsure(route, supernet)
      if (tun !== undefined) peerRoutesEnsure(route, tun.ifindex, wanted)
    })
  }
}

function withRoutes<T>(use: (route: NetlinkSocket) => T): T {
  using route = NetlinkSocket.open(NETLINK_ROUTE)
  return use(route)
}

/** What the kernel says of a route over a device that is down, or from an address that no device bears. */
const isUnfit = (err: unknown): boolean =>
  err instanceof NetlinkError && (err.errno === Errno.ENETDOWN || err.errno === Errno.EINVAL)
