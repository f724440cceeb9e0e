/** What peers say of their links: the data that a relay is chosen by. */

import type { Millis } from '../../core/clock.ts'
import { isObject } from '../../core/json.ts'
import { printable } from '../base/printable.ts'
import type { ControlMessage, LinkView } from '../links/types.ts'
import type { RelayOffer } from './transport.ts'

/** One gateway's links that carry packets, to all its peers. */
export interface LinkReport extends ControlMessage {
  readonly type: 'paths.links'
  /** `[hostId, round trip in ms]` */
  readonly links: readonly (readonly [number, number])[]
  /** Pairs for which it would still be a relay. */
  readonly freePairs: number
  readonly uptimeMs: Millis
  /** Why it carries no packets, in words for a person; absent: it does. */
  readonly noTunnel?: string
}

interface Held {
  readonly rttOf: ReadonlyMap<number, Millis>
  readonly freePairs: number
  readonly uptimeMs: Millis
  readonly noTunnel: string | undefined
  readonly at: Millis
}

/** Three reports missed. */
const STALE_MS: Millis = 16_000
const MAX_LINKS = 65_536
/** A round trip that is longer is a dead link. */
const MAX_RTT_MS: Millis = 60_000

/** A peer that has not been measured yet is used all the same, behind all others. */
export const UNMEASURED_MS: Millis = 1_000

/** Whether a link carries packets for others. A draining peer is about to stop and relays for no one. */
export const carries = (view: LinkView): boolean => view.state === 'up' && view.hasData

const isAmount = (value: unknown, max: number): value is number =>
  typeof value === 'number' && value >= 0 && value <= max

function isReport(m: ControlMessage): m is LinkReport {
  if (!isObject(m)) return false
  const { links, freePairs, uptimeMs, noTunnel } = m
  return (
    (noTunnel === undefined || typeof noTunnel === 'string') &&
    isAmount(freePairs, MAX_LINKS) &&
    isAmount(uptimeMs, Number.MAX_SAFE_INTEGER) &&
    Array.isArray(links) &&
    links.length <= MAX_LINKS &&
    links.every(
      (l: unknown) =>
        Array.isArray(l) && l.length === 2 && isAmount(l[0], MAX_LINKS) && isAmount(l[1], MAX_RTT_MS),
    )
  )
}

export class Reports {
  readonly #byHost = new Map<number, Held>()

  /** @returns false when the message is not one */
  handle(from: number, message: ControlMessage, now: Millis): boolean {
    if (!isReport(message)) return false
    const { freePairs, uptimeMs } = message
    const noTunnel = message.noTunnel === undefined ? undefined : printable(message.noTunnel)
    this.#byHost.set(from, { rttOf: new Map(message.links), freePairs, uptimeMs, noTunnel, at: now })
    return true
  }

  forget(hostId: number): void {
    this.#byHost.delete(hostId)
  }

  /** Why that host carries no packets, in its own words; undefined while it does, or has not said. */
  noTunnelOf(hostId: number): string | undefined {
    return this.#byHost.get(hostId)?.noTunnel
  }

  /**
   * The gateways that report a link to `hostId` and that this host has a link to.
   * @param linkTo the own link to a gateway that could relay
   */
  offers(hostId: number, now: Millis, linkTo: (relay: number) => LinkView | undefined): RelayOffer[] {
    const found: RelayOffer[] = []
    for (const [relay, { rttOf, freePairs, uptimeMs, at }] of this.#byHost) {
      const fromRelayMs = rttOf.get(hostId)
      if (relay === hostId || fromRelayMs === undefined || now - at > STALE_MS) continue
      const link = linkTo(relay)
      if (link === undefined || !carries(link)) continue
      const toRelayMs = link.rttMs ?? UNMEASURED_MS
      found.push({ hostId: relay, toRelayMs, fromRelayMs, freePairs, uptimeMs })
    }
    return found
  }
}
