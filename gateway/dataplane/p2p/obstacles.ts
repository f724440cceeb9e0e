/** Why a pair of hosts can have no UDP path at all: what is in the way here, and what the peer says is in its way. */

import type { Millis } from '../../../core/clock.ts'
import { type P2pReason, peerText, reasonText } from '../../paths/escalation/reasons.ts'
import type { P2pTransportDeps } from './p2p-deps.ts'
import type { ProcessStatus } from './process-status.ts'
import { whyNoneToOffer } from './udp-tiers.ts'

/** Both sides say what they do as soon as a link is up; a busy host takes a second. */
const SILENT_MS: Millis = 10_000
const MAX_TEXT = 200

interface Peer {
  /** Since when the link is up, monotonic; undefined: not yet. */
  upAt?: Millis
  /** Whether it has sent any message about UDP over this link: an older version sends none. */
  hasSpoken: boolean
  /** `''`: nothing is in its way. */
  says: string
  /** What this host has told it; undefined: nothing yet. */
  told?: string | undefined
}

export class Obstacles {
  readonly #deps: Pick<
    P2pTransportDeps,
    'addresses' | 'conf' | 'links' | 'process' | 'refusalOf' | 'scheduler' | 'tiers'
  >
  readonly #status: ProcessStatus
  readonly #peers = new Map<number, Peer>()

  constructor(deps: P2pTransportDeps, status: ProcessStatus) {
    this.#deps = deps
    this.#status = status
  }

  /** The peer's first message may come before this. */
  linkUp(hostId: number): void {
    const peer = this.#peer(hostId)
    peer.upAt = this.#deps.scheduler.monotonic()
    peer.told = undefined
  }

  linkDown(hostId: number): void {
    this.#peers.delete(hostId)
  }

  /**
   * @param says undefined: the message was about something else
   * @returns whether what was in the peer's way is gone
   */
  heard(hostId: number, says: string | undefined): boolean {
    const peer = this.#peer(hostId)
    const isGone = says === '' && peer.says !== ''
    peer.hasSpoken = true
    peer.says = says ?? peer.says
    return isGone
  }

  /** Tells the peer what is in the way here, once for each link and after each change. */
  tell(hostId: number): void {
    const peer = this.#peers.get(hostId)
    const obstacle = this.here(hostId)
    const reason = obstacle === undefined ? '' : reasonText(obstacle).slice(0, MAX_TEXT)
    if (peer?.upAt === undefined || peer.told === reason) return
    if (this.#deps.links.send(hostId, { type: 'p2p.obstacle', reason })) peer.told = reason
  }

  here(hostId: number): P2pReason | undefined {
    const { conf, refusalOf, process, scheduler } = this.#deps
    if (!conf.enabled) return { code: 'off' }
    if (conf.off.has(hostId)) return { code: 'off for host' }
    const refusal = refusalOf(hostId)
    if (refusal !== undefined) return { code: 'not admitted', detail: refusal }
    return this.#status.obstacle(process.problem, scheduler.monotonic()) ?? this.#noAddress(hostId)
  }

  /** The configuration leaves no address to offer. */
  #noAddress(hostId: number): P2pReason | undefined {
    const { addresses, links, tiers } = this.#deps
    // Most hosts switch nothing off, and this is asked often.
    if (Object.values(tiers).every(({ enabled }) => enabled)) return undefined
    const kind = links.kind(hostId)
    if (kind === undefined) return undefined
    const all = addresses.candidates(this.#status.port, links.addresses(hostId)?.local)
    return whyNoneToOffer(tiers, kind, all, addresses.portMapped)
  }

  there(hostId: number): P2pReason | undefined {
    const { upAt, hasSpoken = true, says = '' } = this.#peers.get(hostId) ?? {}
    if (says !== '') return { code: 'refused', detail: peerText(says) }
    // A letter may have been lost on its way; a link loses nothing.
    const isLink = this.#deps.links.kind(hostId) !== 'members'
    const isSilent =
      isLink && !hasSpoken && upAt !== undefined && this.#deps.scheduler.monotonic() - upAt >= SILENT_MS
    return isSilent ? { code: 'no word' } : undefined
  }

  #peer(hostId: number): Peer {
    const known = this.#peers.get(hostId) ?? { hasSpoken: false, says: '' }
    this.#peers.set(hostId, known)
    return known
  }
}
