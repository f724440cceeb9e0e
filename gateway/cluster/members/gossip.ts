/** Spreads the list of members and the hosts' endpoints: versions first, then what a peer lacks. */

import type { Clock } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import type { ControlMessage } from '../../links/types.ts'
import { DocumentError, memberOf } from './document.ts'
import { isEndpointRecord } from './endpoints.ts'
import { Pace } from './pace.ts'
import type { ClusterState } from './state.ts'

export interface GossipDeps {
  readonly state: ClusterState
  readonly clock: Clock
  readonly log: Log
  send(hostId: number, message: ControlMessage): boolean
  broadcast(message: ControlMessage): void
  /** A host has new endpoints: links that wait to try again may try now. */
  endpointsChanged(): void
}

export class Gossip {
  readonly #deps: GossipDeps
  readonly #pace = new Pace()

  constructor(deps: GossipDeps) {
    this.#deps = deps
  }

  /** A link stands: each side says what it has, and sends what the other lacks. */
  greet(hostId: number): void {
    this.#deps.send(hostId, this.#digest())
  }

  /** The list changed here. The whole of it, since a host that is revoked by it must be known within seconds. */
  spread(): void {
    this.#deps.broadcast(this.#members())
  }

  #digest(): ControlMessage {
    const { state } = this.#deps
    const endpoints = Object.fromEntries(state.endpoints.all().map((r) => [r.hostId, r.seq]))
    return {
      type: 'cluster.digest',
      version: state.document.version,
      signature: state.sealed.signature,
      endpoints,
    }
  }

  #members(): ControlMessage {
    return { type: 'cluster.members', sealed: this.#deps.state.sealed }
  }

  /** `cluster.digest`: what the peer has. */
  onDigest(from: number, message: ControlMessage): void {
    const { state, send } = this.#deps
    const theirs = Number(message['version'])
    const { version } = state.document
    const isOther = theirs === version && message['signature'] !== state.sealed.signature
    if (theirs < version || isOther) send(from, this.#members())
    else if (theirs > version) send(from, this.#digest())
    const seqs = message['endpoints']
    if (typeof seqs !== 'object' || seqs === null) return
    const known = seqs as Readonly<Record<string, unknown>>
    const news = state.endpoints.all().filter((r) => r.seq > Number(known[r.hostId] ?? -1))
    if (news.length > 0) send(from, { type: 'cluster.endpoints', records: news })
  }

  /** `cluster.members`: the whole list, signed. */
  onMembers(from: number, { sealed }: ControlMessage): void {
    const { state, log, broadcast, send } = this.#deps
    try {
      const adopted = state.adopt(sealed)
      if (adopted.kind === 'newer') broadcast(this.#digest())
      else if (adopted.kind === 'merged') {
        log.error({ peer: from }, 'lists of members had parted and were merged')
        this.spread()
      } else if (adopted.kind === 'conflict') {
        log.error({ peer: from, reason: adopted.reason }, 'list of members refused')
        // A host that admits can settle which of the two counts; between others the lists would go back and forth.
        if (memberOf(state.document, from)?.admits === true) send(from, this.#members())
      }
    } catch (err) {
      if (!(err instanceof DocumentError)) throw err
      log.warn({ peer: from, err }, 'list of members refused')
    }
  }

  /** `cluster.endpoints`: where hosts can be reached, each record signed by its host. */
  onEndpoints(from: number, { records }: ControlMessage): void {
    const { state, clock, log, broadcast, endpointsChanged } = this.#deps
    if (!Array.isArray(records)) return
    const now = clock.monotonic()
    const news = records.filter(
      // Only what its host has signed counts, or others could silence it.
      (r) =>
        isEndpointRecord(r) && state.isNews(r) && this.#pace.reserve(r.hostId, now) && state.endpoints.put(r),
    )
    if (news.length === 0) return
    state.endpoints.save(log)
    // A host's own word goes on to the others, who may have no link with it; theirs to them is no news then.
    if (news.some((r) => r.hostId === from)) broadcast({ type: 'cluster.endpoints', records: news })
    endpointsChanged()
  }
}
