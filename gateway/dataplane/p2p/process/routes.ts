/** Owns the routes of direct paths: sets and deletes them, and puts back what other programs delete. */
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Ipv4, type Prefix4, sizeOf } from '../../../../core/addr.ts'
import type { Log } from '../../../../core/log.ts'
import {
  DIRECT_METRIC,
  directRouteDel,
  type PeerRoute,
  peerRoutesEnsure,
} from '../../../../kernel/peer-routes.ts'

export interface DirectRoutesDeps {
  readonly supernet: Prefix4
  readonly hostPrefix: number
  /** Preferred source of this host's own packets: its bridge address. */
  readonly src: Ipv4
  /** Absent: that of UDP. */
  readonly metric?: number
  /** The device's; undefined while there is no device. */
  ifindex(): number | undefined
  /** Sets the device up again after another program set it down or took its address. */
  configure(): void
  readonly log: Log
}

export class DirectRoutes {
  readonly #deps: DirectRoutesDeps
  readonly #wanted = new Map<number, PeerRoute>()
  /** Stays open for the life of the process: opening a socket takes longer than the request. */
  readonly #socket = NetlinkSocket.open(NETLINK_ROUTE)
  #problem: string | undefined

  constructor(deps: DirectRoutesDeps) {
    this.#deps = deps
  }

  get size(): number {
    return this.#wanted.size
  }

  /** @returns why the route could not be set; then there is none */
  add(hostId: number): string | undefined {
    const { hostPrefix, src, supernet } = this.#deps
    const slice = { base: supernet.base + hostId * sizeOf(hostPrefix), prefixLen: hostPrefix }
    this.#wanted.set(hostId, { slice, src })
    const problem = this.ensure()
    if (problem !== undefined) this.#wanted.delete(hostId)
    return problem
  }

  remove(hostId: number): void {
    const peer = this.#wanted.get(hostId)
    const ifindex = this.#deps.ifindex()
    this.#wanted.delete(hostId)
    if (peer === undefined || ifindex === undefined) return
    try {
      directRouteDel(this.#socket, ifindex, peer, this.#deps.metric)
    } catch (err) {
      // `ensure` tries again every few seconds.
      this.#deps.log.error({ peer: hostId, err }, 'route of a direct path could not be deleted')
    }
  }

  /** The device is gone, and the kernel has deleted its routes. */
  forget(): void {
    this.#wanted.clear()
  }

  /** Sets missing routes and deletes extra ones. @returns why that failed */
  ensure(): string | undefined {
    const ifindex = this.#deps.ifindex()
    if (ifindex === undefined) return 'there is no device'
    try {
      this.#ensure(ifindex)
      this.#problem = undefined
    } catch (err) {
      // Tried again every few seconds, but logged once.
      const problem = err instanceof Error ? err.message : String(err)
      if (problem !== this.#problem) this.#deps.log.error({ err }, 'routes of direct paths could not be set')
      this.#problem = problem
    }
    return this.#problem
  }

  close(): void {
    this.#socket.close()
  }

  #ensure(ifindex: number): void {
    const { metric = DIRECT_METRIC } = this.#deps
    const wanted = [...this.#wanted.values()]
    try {
      peerRoutesEnsure(this.#socket, ifindex, wanted, metric)
    } catch {
      // A device that is down or has lost its address refuses routes. The second try throws any other error.
      this.#deps.configure()
      peerRoutesEnsure(this.#socket, ifindex, wanted, metric)
    }
  }
}
