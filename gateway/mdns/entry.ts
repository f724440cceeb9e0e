/** What one name goes through on one link: probed for, published, or another host's (RFC 6762 6 to 9). Pure. */

import type { Millis } from '../../core/clock.ts'
import type { ResourceRecord } from './message.ts'
import { HOST_TTL_S, type Named } from './records.ts'

/** `taken`: another host has the name, and it is probed for again later. */
type Phase = 'probing' | 'published' | 'taken'

interface Asked {
  readonly at: Millis
  readonly address: boolean
  readonly others: boolean
  /** The one host that asked, where it goes on to tell what it knows; undefined: others wait for the answer, too. */
  readonly listing: string | undefined
}

export interface Entry extends Named {
  phase: Phase
  /** Probes, then announcements. */
  sent: number
  /** The first of these probes was sent. */
  probedAt: Millis
  /** When the next of them is due; Infinity: all are sent. */
  dueAt: Millis
  /** Its records were last sent to all; -Infinity: no cache has them. */
  toldAt: Millis
  /** What was asked for and is not sent yet. */
  asked: Asked | undefined
  /** Ties that another host won, one after the other. */
  lost: number
  /** Who has it, or had it at last. */
  by: string | undefined
}

/** RFC 6762 8.1: three probes, the first after a random wait, so that hosts that start together do not collide. */
const PROBES = 3
export const PROBE_MS: Millis = 250
/** RFC 6762 8.3. */
const ANNOUNCEMENTS = 2
const ANNOUNCE_MS: Millis = 1_000
/** RFC 6762 8.2: the other host has published the name by then, and answers. */
const TIE_MS: Millis = 1_000
/** A host that always wins and never publishes keeps the name from us all the same. */
const MAX_TIES = 3
/** The other host may have gone without a word. Far slower than RFC 6762 8.1 asks of a host with many conflicts. */
const RETRY_MS: Millis = 60_000
/** RFC 6762 10.1: caches forget a name that was taken back a second later. */
const FREED_MS: Millis = 1_000
/** RFC 6762 6: a record is sent to all once a second at most; four times to defend it. */
const AGAIN_MS: Millis = 1_000
const DEFEND_MS: Millis = 250
/** RFC 6762 7.2: what the asking host knows comes in further messages, for 400 to 500 ms. */
const LISTING_MS: Millis = 400
const LISTING_SPREAD_MS: Millis = 100
/** As long as after many conflicts: a flood is no time to ask more often. */
const FLOODED_MS: Millis = 5_000

export const newEntry = (named: Named, dueAt: Millis): Entry => ({
  ...named,
  phase: 'probing',
  sent: 0,
  probedAt: -Infinity,
  dueAt,
  toldAt: -Infinity,
  asked: undefined,
  lost: 0,
  by: undefined,
})

/** Is a probe its next message? */
export const isProbeNext = ({ phase, sent }: Entry): boolean =>
  phase === 'taken' || (phase === 'probing' && sent < PROBES)

export function probeFrom(entry: Entry, at: Millis): void {
  entry.phase = 'probing'
  entry.sent = 0
  entry.dueAt = at
  entry.asked = undefined
}

export function probeSent(entry: Entry, now: Millis): void {
  if (entry.phase === 'taken') probeFrom(entry, now)
  if (entry.sent === 0) entry.probedAt = now
  entry.sent++
  // The announcement that follows the last probe is a record sent to all, too: a second after the one before it.
  entry.dueAt = isProbeNext(entry) ? now + PROBE_MS : Math.max(now + PROBE_MS, entry.toldAt + AGAIN_MS)
}

/**
 * Messages were dropped unread while it was probed for, and one of them may have said that another host has it: it is
 * probed for again, as often as that is so.
 */
export function probeAfterFlood(entry: Entry, floodedAt: Millis, now: Millis): boolean {
  if (entry.phase !== 'probing' || isProbeNext(entry) || floodedAt < entry.probedAt) return false
  probeFrom(entry, now + FLOODED_MS)
  return true
}

/** The first announcement is what publishes it: no host has spoken against three probes. */
export function announcementSent(entry: Entry, now: Millis): void {
  if (entry.phase === 'probing') {
    entry.phase = 'published'
    entry.sent = 0
    entry.lost = 0
    entry.by = undefined
  }
  entry.sent++
  entry.dueAt = entry.sent < ANNOUNCEMENTS ? now + ANNOUNCE_MS : Infinity
}

/** @returns whether the other host keeps the name, by having won again and again */
export function tieLost(entry: Entry, waitMs: Millis, now: Millis): boolean {
  probeFrom(entry, now + Math.max(TIE_MS, waitMs))
  return ++entry.lost >= MAX_TIES
}

export function taken(entry: Entry, by: string, now: Millis): void {
  entry.phase = 'taken'
  entry.lost = 0
  entry.by = by
  entry.toldAt = -Infinity
  entry.asked = undefined
  entry.dueAt = now + RETRY_MS
}

/** The host that has it takes it back. */
export function freed(entry: Entry, waitMs: Millis, now: Millis): void {
  if (entry.phase === 'taken') entry.dueAt = Math.min(entry.dueAt, now + Math.max(FREED_MS, waitMs))
}

export interface Asking {
  readonly wantsAddress: boolean
  /** Another host asks as it wants the name. */
  readonly isProbe: boolean
  /** The asking host, where more of what it knows is to come (RFC 6762 7.2). */
  readonly listing: string | undefined
}

/** @param random 0 to 1 */
export function ask(entry: Entry, asking: Asking, random: number, now: Millis): void {
  const { asked, toldAt } = entry
  const { isProbe, listing, wantsAddress } = asking
  const waitMs = listing === undefined ? 0 : LISTING_MS + random * LISTING_SPREAD_MS
  const at = Math.max(now + waitMs, toldAt + (isProbe ? DEFEND_MS : AGAIN_MS))
  entry.asked = {
    at: Math.min(asked?.at ?? Infinity, at),
    address: wantsAddress || asked?.address === true,
    others: !wantsAddress || asked?.others === true,
    listing: asked === undefined || asked.listing === listing ? listing : undefined,
  }
}

/** The host that asked, and no other waits for the answer, has it already: it is not sent. */
export function answerKnown(entry: Entry, known: readonly ResourceRecord[]): void {
  const { asked } = entry
  if (asked === undefined) return
  const address = asked.address && !isKnown(entry, true, known)
  const others = asked.others && !isKnown(entry, false, known)
  entry.asked = address || others ? { ...asked, address, others } : undefined
}

/** RFC 6762 7.1: who asks names what it has; an answer that it keeps for half its time or more is not sent. */
export const isKnown = (
  { address, name }: Entry,
  wantsAddress: boolean,
  known: readonly ResourceRecord[],
): boolean =>
  known.some(
    (r) =>
      r.name.toLowerCase() === name &&
      'ttl' in r &&
      (r.ttl ?? 0) >= HOST_TTL_S / 2 &&
      (wantsAddress ? r.type === 'A' && r.data === address : r.type === 'NSEC'),
  )
