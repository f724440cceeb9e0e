/** Relays, both sides of them: what this gateway carries for others, and what others carry for it. */

import type { RelayConf } from '../../../conf/relay.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { RelayCapacity } from '../../paths/transport.ts'
import type { RelayLoad } from './capacity.ts'
import { Ends, type EndsDeps } from './ends.ts'
import { Purpose } from './purpose.ts'
import { RelayServer } from './server.ts'

export interface RelaysDeps extends EndsDeps {
  readonly conf: RelayConf
  readonly metrics: Metrics
  /** Whether the link to a host stands. */
  isLinked(hostId: number): boolean
}

export class Relays {
  readonly #ends: Ends
  readonly #server: RelayServer

  /** Once for these streams: from here on it answers those that are for relays. */
  constructor(deps: RelaysDeps) {
    this.#ends = new Ends(deps)
    this.#server = new RelayServer({ ...deps, ownHostId: () => deps.identity().hostId })
    deps.streams.handle(Purpose.relay, (offer) => void this.#server.accept(offer))
    deps.streams.handle(Purpose.relayed, (offer) => void this.#ends.accept(offer))
    deps.metrics.gauge(
      'flatnet_relay_connections',
      'Connections to other hosts through a relay',
      () => this.#ends.count,
    )
  }

  /** What this gateway would still carry for others. */
  offered(): RelayCapacity {
    return this.#server.offered
  }

  /** What it carries. */
  load(): RelayLoad {
    return this.#server.load
  }

  /**
   * Keeps a connection to `hostId` through `relay` until another call: TLS from end to end, both certificates
   * checked. A connection through another relay stays until the new one stands, and the new one's `up` comes first.
   */
  request(hostId: number, relay: number): void {
    this.#ends.request(hostId, relay)
  }

  /** Those that this host opened are closed 5 s later; the other end closes its own. */
  release(hostId: number): void {
    this.#ends.release(hostId)
  }

  /** How the relay refused or failed for this host within the last 10 s; undefined: it is usable. */
  problem(hostId: number, relay: number): string | undefined {
    return this.#ends.problem(hostId, relay)
  }

  /** A link came up: what failed through that gateway before says nothing of it. */
  linkUp(relay: number): void {
    this.#ends.linkUp(relay)
  }

  /** After a change of membership: ends connections with hosts that are out. Their streams are ended by the links. */
  refresh(): void {
    this.#ends.refresh()
  }

  /**
   * This gateway is about to stop, and its peers know. Resolves when the pairs that it carries have had the time to
   * move.
   */
  drain(): Promise<void> {
    return this.#server.drain()
  }

  stop(): void {
    this.#ends.stop()
    this.#server.stop()
  }
}
