/** What peers say of their links: the data that a relay is chosen by. */

import type { Millis } from '../../core/clock.ts'
import { isObject } from '../../core/json.ts'
import { Listeners } from '../base/listeners.ts'
import { printable } from '../base/printable.ts'
import type { ControlMessage, LinkView } from '../links/types.ts'
import type { RelayCapacity, RelayOffer } from './transport.ts'

/** One gateway's links that carry packets, to all its peers. */
export interface LinkReport extends ControlMessage {
  readonly type: 'paths.links'
  /** `[hostId, round trip in ms]` */
  readonly links: readonly (readonly [number, number])[]
  /** Pairs for which it would still be a relay. */
  readonly freePairs: number
  /** Percent of its pairs and bandwidth; absent: an older version, which has no bandwidth to share. */
  readonly freePercent?: number
  readonly region?: string
  /** Why it relays for no pair, in words for a person; absent: it does. */
  readonly noRelay?: string
  readonly uptimeMs: Millis
  /** Why it carries no packets, in words for a person; absent: it does. */
  readonly noTunnel?: string
  /** Whether it carries letters about UDP paths; absent: an older version, which does not know them. */
  readonly letters?: boolean
}

/** The part of a report that says what the sender would carry. */
export const relayReport = ({
  freePairs,
  freeShare,
  refusal,
  region,
}: RelayCapacity): Pick<LinkReport, 'freePairs' | 'freePercent' | 'noRelay' | 'region'> => ({
  freePairs,
  freePercent: Math.round(freeShare * 100),
  ...(region !== undefined && { region }),
  ...(refusal !== undefined && { noRelay: refusal }),
})

interface Held extends RelayCapacity {
  readonly rttOf: ReadonlyMap<number, Millis>
  readonly uptimeMs: Millis
  readonly noTunnel: string | undefined
  readonly carriesLetters: boolean
  readonly at: Millis
}

/** Three reports missed. */
const STALE_MS: Millis = 16_000
const MAX_LINKS = 65_536
const MAX_REGION_CHARS = 64
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
  const { links, freePairs, freePercent, noRelay, region, uptimeMs, noTunnel } = m
  return (
    [noRelay, noTunnel].every((why) => why === undefined || typeof why === 'string') &&
    isAmount(freePairs, MAX_LINKS) &&
    (freePercent === undefined || isAmount(freePercent, 100)) &&
    (region === undefined || (typeof region === 'string' && region.length <= MAX_REGION_CHARS)) &&
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
  readonly #region: string | undefined
  readonly #byHost = new Map<number, Held>()
  readonly #led = new Listeners<[hostId: number]>()

  /** @param region this host's own */
  constructor(region?: string) {
    this.#region = region
  }

  /** @returns false when the message is not one */
  handle(from: number, message: ControlMessage, now: Millis): boolean {
    if (!isReport(message)) return false
    const { freePairs, freePercent = 100, region, uptimeMs } = message
    const [noTunnel, refusal] = [message.noTunnel, message.noRelay].map((why) => why && printable(why))
    const capacity: RelayCapacity = { freePairs, freeShare: freePercent / 100, refusal, region }
    const carriesLetters = message.letters === true
    const rttOf = new Map(message.links)
    const newlyLed = [...rttOf.keys()].filter((hostId) => !this.#isLedTo(hostId, now))
    this.#byHost.set(from, { ...capacity, rttOf, uptimeMs, noTunnel, carriesLetters, at: now })
    for (const hostId of newlyLed) this.#led.call(hostId)
    return true
  }

  /**
   * Calls the listener with each host that a gateway reports a link to, and none did before.
   * @returns how to stop listening
   */
  onLed(listener: (hostId: number) => void): () => void {
    return this.#led.add(listener)
  }

  #isLedTo(hostId: number, now: Millis): boolean {
    for (const { at, rttOf } of this.#byHost.values())
      if (now - at <= STALE_MS && rttOf.has(hostId)) return true
    return false
  }

  /** Whether that host says that it carries letters about UDP paths. */
  carriesLetters(hostId: number): boolean {
    return this.#byHost.get(hostId)?.carriesLetters === true
  }

  forget(hostId: number): void {
    this.#byHost.delete(hostId)
  }

  /** Why that host carries no packets, in its own words; undefined while it does, or has not said. */
  noTunnelOf(hostId: number): string | undefined {
    return this.#byHost.get(hostId)?.noTunnel
  }

  /** Gateways that report a link to `hostId`, the nearest to it first. */
  leadingTo(hostId: number, now: Millis): number[] {
    const found = [...this.#byHost].flatMap(([gateway, { at, rttOf }]) => {
      const rttMs = rttOf.get(hostId)
      return rttMs === undefined || now - at > STALE_MS ? [] : [{ gateway, rttMs }]
    })
    return found.sort((a, b) => a.rttMs - b.rttMs).map(({ gateway }) => gateway)
  }

  /**
   * The gateways that report a link to `hostId` and that this host has a link to.
   * @param linkTo the own link to a gateway that could relay
   */
  offers(hostId: number, now: Millis, linkTo: (relay: number) => LinkView | undefined): RelayOffer[] {
    const found: RelayOffer[] = []
    for (const [relay, { rttOf, at, ...says }] of this.#byHost) {
      const fromRelayMs = rttOf.get(hostId)
      if (relay === hostId || fromRelayMs === undefined || now - at > STALE_MS) continue
      const link = linkTo(relay)
      if (link === undefined || !carries(link)) continue
      const toRelayMs = link.rttMs ?? UNMEASURED_MS
      const { freePairs, freeShare, refusal, region, uptimeMs } = says
      const ends = [this.#region, this.#byHost.get(hostId)?.region]
      const endsInRegion = region === undefined ? 0 : ends.filter((end) => end === region).length
      const offer = { freePairs, freeShare, refusal, endsInRegion, uptimeMs }
      found.push({ hostId: relay, toRelayMs, fromRelayMs, ...offer })
    }
    return found
  }
}
