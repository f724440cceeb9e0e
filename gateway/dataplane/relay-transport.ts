/** The ways through a third gateway as the paths see them: offers of relays, and their channels. */

import { switchedOff } from '../../conf/tiers.ts'
import { Listeners } from '../base/listeners.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Reports } from '../paths/reports.ts'
import type { Candidate, RelayCapacity, Transport } from '../paths/transport.ts'
import type { ChannelTable } from './channels.ts'
import type { RelayLoad } from './relay/capacity.ts'
import { Relays, type RelaysDeps } from './relay/relays.ts'
import type { PeerRoutes } from './routes.ts'

export interface RelayTransportDeps
  extends Pick<RelaysDeps, 'conf' | 'tier' | 'scheduler' | 'metrics' | 'log' | 'noTunnel'> {
  readonly cluster: Cluster
  readonly reports: Reports
  readonly channels: ChannelTable
  readonly routes: PeerRoutes
  /** Whether a host is in quarantine: nothing is carried to or from it, here and for others. */
  keepsOut(hostId: number): boolean
}

export class RelayTransport implements Transport {
  readonly kind = 'relay'
  readonly #deps: RelayTransportDeps
  readonly #relays: Relays
  readonly #listeners = new Listeners<[hostId: number]>()
  readonly #stopListening: () => void

  constructor(deps: RelayTransportDeps) {
    this.#deps = deps
    const { cluster, conf, keepsOut, scheduler, metrics, log, noTunnel, tier } = deps
    const { links, state } = cluster
    this.#relays = new Relays({
      conf,
      tier,
      scheduler,
      metrics,
      log,
      noTunnel,
      identity: () => state.identity,
      membership: {
        members: () => state.members(),
        refusal: (hostId, keyId) =>
          state.refusal(hostId, keyId) ?? (keepsOut(hostId) ? 'it is in quarantine' : undefined),
      },
      streams: links.streams,
      random: Math.random,
      // A peer that is about to stop ends what it has; that is no time to begin something with it.
      isLinked: (hostId) => links.view(hostId)?.state === 'up',
      events: this.#events(),
    })
    this.#stopListening = cluster.listen({ up: (hostId) => this.#relays.linkUp(hostId) })
    state.onChange(() => this.#relays.refresh())
  }

  candidates(hostId: number): readonly Candidate[] {
    const { channels, cluster, reports, scheduler, tier } = this.#deps
    const offers = reports.offers(hostId, scheduler.monotonic(), (relay) => cluster.links.view(relay))
    // Chosen is not made: until the relay's own channel stands, packets stay on any other one.
    const hasChannel = channels.has(hostId)
    return offers.map((offer) => {
      const id = { kind: this.kind, hostId: offer.hostId } as const
      const problem = tier.enabled ? this.#relays.problem(hostId, offer.hostId) : switchedOff('relay')
      return { id, tier: this.kind, rttMs: channels.rttMs(hostId, id), problem, hasChannel, offer }
    })
  }

  use(hostId: number, candidate: Candidate | undefined): void {
    const { channels, routes } = this.#deps
    if (candidate?.id.kind !== 'relay') {
      this.#relays.release(hostId)
      if (channels.unchoose(hostId, this.kind)) routes.clear(hostId)
      return
    }
    channels.choose(hostId, candidate.id)
    this.#relays.request(hostId, candidate.id.hostId)
    routes.set(hostId)
  }

  onChange(listener: (hostId: number) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** After a change of which hosts may be here. */
  refresh(): void {
    this.#relays.refresh()
  }

  offered(): RelayCapacity {
    return this.#relays.offered()
  }

  load(): RelayLoad {
    return this.#relays.load()
  }

  drain(): Promise<void> {
    return this.#relays.drain()
  }

  stop(): void {
    this.#stopListening()
    this.#relays.stop()
  }

  #events(): RelaysDeps['events'] {
    return {
      up: (hostId, relay, socket) => {
        this.#deps.channels.relayUp(hostId, relay, socket)
        this.#listeners.call(hostId)
      },
      // The channel sees its socket close, in the same turn.
      down: (hostId) => void setImmediate(() => this.#listeners.call(hostId)),
      problemChanged: (hostId) => this.#listeners.call(hostId),
    }
  }
}
