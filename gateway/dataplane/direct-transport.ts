/** The direct way to a host as the paths see it: TLS between the two gateways. */

import { Listeners } from '../base/listeners.ts'
import type { Links } from '../links/links.ts'
import type { Candidate, Transport } from '../paths/transport.ts'
import type { ChannelTable } from './channels.ts'
import type { PeerRoutes } from './routes.ts'

export interface DirectTransportDeps {
  readonly links: Pick<Links, 'view'>
  readonly channels: ChannelTable
  readonly routes: PeerRoutes
}

const ID = { kind: 'gateway' } as const

export class DirectTransport implements Transport {
  readonly kind = 'gateway'
  readonly #deps: DirectTransportDeps
  readonly #listeners = new Listeners<[hostId: number]>()

  constructor(deps: DirectTransportDeps) {
    this.#deps = deps
  }

  /** One for each link, also while its data connection is missing: the problem says why. */
  candidates(hostId: number): readonly Candidate[] {
    const view = this.#deps.links.view(hostId)
    if (view === undefined) return []
    const { rttMs, hasData, dataReason } = view
    return [{ id: ID, tier: 'gateway', rttMs, problem: dataReason, hasChannel: hasData }]
  }

  use(hostId: number, candidate: Candidate | undefined): void {
    const { channels, routes } = this.#deps
    if (candidate === undefined) {
      if (channels.unchoose(hostId, this.kind)) routes.clear(hostId)
      return
    }
    channels.choose(hostId, ID)
    routes.set(hostId)
  }

  onChange(listener: (hostId: number) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** The channel of the data connection came or went. */
  changed(hostId: number): void {
    this.#listeners.call(hostId)
  }
}
