/** What peers say of their links: the data that a relay is chosen by. */

import type { Millis } from '../../core/clock.ts'
import { isObject } from '../../core/json.ts'
import { printable } from '../base/printable.ts'
import type { ControlMessage } from '../links/types.ts'
import type { RelayCandidate } from './relay-choice.ts'

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
   * Whoever says that it has a link to `hostId`.
   * @param rttTo ours to a gateway that could relay; undefined when it is none
   */
  candidates(hostId: number, now: Millis, rttTo: (relay: number) => Millis | undefined): RelayCandidate[] {
    const found: RelayCandidate[] = []
    for (const [relay, { rttOf, freePairs, uptimeMs, at }] of this.#byHost) {
      const fromRelayMs = rttOf.get(hostId)
      const toRelayMs = rttTo(relay)
      if (relay === hostId || fromRelayMs === undefined || toRelayMs === undefined) continue
      if (now - at > STALE_MS) continue
      found.push({ hostId: relay, toRelayMs, fromRelayMs, freePairs, uptimeMs })
    }
    return found
  }
}
