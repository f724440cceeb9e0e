/** Joins relays and channels: a connection through a relay is a channel of the tunnel, kept for as long as the path goes that way. */
import type { Cluster } from '../cluster/cluster.ts'
import type { Via } from '../paths/decide.ts'
import type { ChannelTable } from './channels.ts'
import { Relays, type RelaysDeps } from './relay/relays.ts'

interface RelayedChannelsDeps extends Pick<RelaysDeps, 'scheduler' | 'metrics' | 'log' | 'noTunnel'> {
  readonly cluster: Cluster
  readonly channels: ChannelTable
  /** Whether a host is in quarantine: nothing is carried to or from it, here and for others. */
  keepsOut(hostId: number): boolean
}

export class RelayedChannels {
  readonly #relays: Relays
  readonly #stopListening: () => void
  #decide = (): void => {}

  constructor({ cluster, channels, keepsOut, ...common }: RelayedChannelsDeps) {
    const { links, state } = cluster
    const relays = new Relays({
      ...common,
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
      events: {
        up: (hostId, relay, socket) => {
          channels.relayUp(hostId, relay, socket)
          this.#decide()
        },
        // The channel sees its socket close, in the same turn.
        down: () => void setImmediate(() => this.#decide()),
        problemChanged: () => this.#decide(),
      },
    })
    this.#relays = relays
    this.#stopListening = cluster.listen({ up: (hostId) => relays.linkUp(hostId) })
    state.onChange(() => relays.refresh())
  }

  /** @param via undefined: none */
  choose(hostId: number, via: Via | undefined): void {
    if (via?.kind === 'relay') this.#relays.request(hostId, via.hostId)
    else this.#relays.release(hostId)
  }

  /** After a change of who may be here. */
  refresh(): void {
    this.#relays.refresh()
  }

  freePairs(): number {
    return this.#relays.freePairs()
  }

  problem(hostId: number, relay: number): string | undefined {
    return this.#relays.problem(hostId, relay)
  }

  onProblem(decide: () => void): void {
    this.#decide = decide
  }

  drain(): Promise<void> {
    return this.#relays.drain()
  }

  close(): void {
    this.#stopListening()
    this.#relays.stop()
  }
}
