/** Joins relays and lines: a connection through a relay is a line of the tunnel, kept for as long as the path goes that way. */
import type { Cluster } from '../cluster/cluster.ts'
import type { Via } from '../paths/decide.ts'
import type { Lines } from './channels.ts'
import { Relays, type RelaysParts } from './relay/relays.ts'

interface CarriedRelaysParts extends Pick<RelaysParts, 'scheduler' | 'metrics' | 'log' | 'noTunnel'> {
  readonly cluster: Cluster
  readonly lines: Lines
  /** Whether a host is in quarantine: nothing is carried to or from it, here and for others. */
  keepsOut(hostId: number): boolean
}

export class CarriedRelays {
  readonly #relays: Relays
  readonly #stopListening: () => void
  #decide = (): void => {}

  constructor({ cluster, lines, keepsOut, ...common }: CarriedRelaysParts) {
    const { peers, state } = cluster
    const relays = new Relays({
      ...common,
      identity: () => state.identity,
      membership: {
        members: () => state.members(),
        refusal: (hostId, keyId) =>
          state.refusal(hostId, keyId) ?? (keepsOut(hostId) ? 'it is in quarantine' : undefined),
      },
      streams: peers.streams,
      random: Math.random,
      // A peer that is about to stop ends what it has; that is no time to begin something with it.
      isLinked: (hostId) => peers.view(hostId)?.state === 'up',
      events: {
        up: (hostId, relay, socket) => {
          lines.relayUp(hostId, relay, socket)
          this.#decide()
        },
        // The line sees its socket close, in the same turn.
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
    if (via?.kind === 'relay') this.#relays.want(hostId, via.hostId)
    else this.#relays.unwant(hostId)
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
