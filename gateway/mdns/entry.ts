/** What one name goes through on one link: probed for, published, or another host's (RFC 6762 6 to 9). Pure. */

import type { Millis } from '../../core/clock.ts'
import type { ResourceRecord } from './message.ts'
import { HOST_TTL_S, type Named } from './records.ts'

/** `taken`: another host has the name, and it is probed for again later. */
type Phase = 'probing' | 'published' | 'taken'

export interface Entry extends Named {
  phase: Phase
  /** Probes, then announcements. */
  sent: number
  /** When the next of them is due; Infinity: all are sent. */
  dueAt: Millis
  /** Its records were last sent to all; -Infinity: no cache has them. */
  toldAt: Millis
  /** What was asked for and is not sent yet. */
  asked: { readonly at: Millis; readonly address: boolean; readonly others: boolean } | undefined
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

export const newEntry = (named: Named, dueAt: Millis): Entry => ({
  ...named,
  phase: 'probing',
  sent: 0,
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
  entry.sent++
  entry.dueAt = now + PROBE_MS
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
export function tieLost(entry: Entry, now: Millis): boolean {
  probeFrom(entry, now + TIE_MS)
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
export function freed(entry: Entry, now: Millis): void {
  if (entry.phase === 'taken') entry.dueAt = Math.min(entry.dueAt, now + FREED_MS)
}

/** @param isProbe another host asks as it wants the name */
export function ask(entry: Entry, wantsAddress: boolean, isProbe: boolean, now: Millis): void {
  const { asked, toldAt } = entry
  entry.asked = {
    at: Math.min(asked?.at ?? Infinity, Math.max(now, toldAt + (isProbe ? DEFEND_MS : AGAIN_MS))),
    address: wantsAddress || asked?.address === true,
    others: !wantsAddress || asked?.others === true,
  }
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
