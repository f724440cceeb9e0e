/**
 * Knows which parts of a key's messages are missing and whose turn it is, while the peer sends again what got lost.
 * Pure: times in ms are arguments.
 *
 * Messages are delivered by their numbers: the TCP inside would take one that overtakes another for a loss.
 */
import { hasPart, type Parts } from './parts.ts'

/**
 * How long messages wait for a missing one: three times as long as an answer takes, since of a hundred requests and
 * answers a few get lost, within these bounds. Answers take long where all else waits in a queue as well.
 */
const LEAST_HOLD_MS = 8
const MOST_HOLD_MS = 16
const HOLD_ANSWERS = 3
/** Requests whose times are known. */
const TIMED = 16
/** Messages that may be ahead of the oldest missing one. */
const MOST_AHEAD = 128
/** How often to ask a peer that does not send again at this time. */
const SELDOM_MS = 100
/** After this long without an answer the next hole begins with a question again. */
const BELIEVE_MS = 2_000
const TRIES = 3
/** Messages named in one request. */
const MOST_NAMED = 32
/** Requests are remembered this long: the lost datagram may have been late only. */
const REMEMBERED = 256

/** What has arrived of a message that is not complete. */
export interface Arrived {
  readonly parts: number
  readonly have: number
  /** By part: 1 for one that is there. */
  readonly seen: Uint8Array
}

interface Asked {
  low: number
  high: number
  /** When the first of its parts was asked for. */
  readonly since: number
  tries: number
  /** The latest request that named it. */
  request: number
}

export class Holes {
  /** Number of the message whose turn it is; 0: messages are delivered as they come. */
  #next = 0
  /** Highest number of which a part has come. */
  #newest = 0
  #request = 0
  #isSuspected = false
  #askAt = Number.NEGATIVE_INFINITY
  #until = Number.NEGATIVE_INFINITY
  /** How long an answer takes, ms, smoothed. */
  #answerMs = MOST_HOLD_MS
  /** When each of the last requests was made. */
  readonly #askedAt = new Float64Array(TIMED)
  readonly #asked = new Map<number, Asked>()
  /** Messages from `#next` on that are given up. */
  readonly #lost = new Set<number>()

  /** Whether messages are delivered by their numbers. */
  get isOn(): boolean {
    return this.#next > 0
  }

  get next(): number {
    return this.#next
  }

  /** A message opened before an earlier one, or instead of it. */
  suspect(): void {
    this.#isSuspected = true
  }

  /** A part of this message came. */
  saw(number: number): void {
    if (number > this.#newest) this.#newest = number
  }

  /** Whether this message waits for others. */
  isEarly(number: number): boolean {
    return this.#next > 0 && number > this.#next
  }

  /** Whether the turn of this message is over. */
  isPast(number: number): boolean {
    return number < this.#next
  }

  /** Whether the oldest missing message holds up too many others. */
  isTooFar(number: number): boolean {
    return this.#next > 0 && number > this.#next + MOST_AHEAD
  }

  /** The message whose turn it was is delivered or given up. */
  pass(): void {
    this.#lost.delete(this.#next++)
  }

  /** This message will not be complete. */
  lose(number: number): void {
    this.#lost.add(number)
  }

  isLost(number: number): boolean {
    return this.#lost.has(number)
  }

  /** How many of these parts were asked for: they arrive only because they were sent again. */
  askedOf(number: number, part: number, count: number): number {
    const asked = this.#asked.get(number)
    if (asked === undefined) return 0
    let parts = 0
    for (let i = part; i < part + count; i++) if (hasPart(asked, i)) parts++
    return parts
  }

  /** A part came once more. @returns 1: it was asked for too early, and this is the one that was late; else 0 */
  late(number: number, part: number): number {
    const asked = this.#asked.get(number)
    if (asked === undefined || !hasPart(asked, part)) return 0
    if (part < 32) asked.low &= ~(1 << part)
    else asked.high &= ~(1 << (part - 32))
    return 1
  }

  /**
   * What to ask for now.
   * @param arrived what is there of a message; undefined: nothing, or its first parts wait where they landed
   * @returns undefined: nothing; an empty list asks whether the peer sends again at all
   */
  ask(arrived: (number: number) => Arrived | undefined, now: number): readonly Parts[] | undefined {
    if (this.#next === 0) {
      if (!this.#isSuspected || now < this.#askAt) return undefined
      this.#isSuspected = false
      this.#askAt = now + SELDOM_MS
      this.#count(now)
      return []
    }
    const wanted: Parts[] = []
    for (let number = this.#next; number <= this.#newest && wanted.length < MOST_NAMED; number++) {
      const missing = this.#missing(number, arrived(number))
      if (missing.low === 0 && missing.high === 0) continue
      this.#note(missing, now)
      wanted.push(missing)
    }
    if (wanted.length === 0) {
      if (now > this.#until && this.#next > this.#newest) this.stop()
      return undefined
    }
    this.#count(now)
    return wanted
  }

  #count(now: number): void {
    this.#request = (this.#request + 1) & 0xffff
    this.#askedAt[this.#request % TIMED] = now
  }

  /** The number of the request that `ask` has just returned. */
  get request(): number {
    return this.#request
  }

  #missing(number: number, arrived: Arrived | undefined): Parts {
    let low = 0
    let high = 0
    if (arrived === undefined) {
      // The newest waits for its rest where it landed. Of any other no part has come, so their number is unknown.
      if (number < this.#newest) low = high = -1
    } else if (arrived.have < arrived.parts) {
      const end = number < this.#newest ? arrived.parts : arrived.seen.lastIndexOf(1)
      for (let part = 0; part < end; part++)
        if (arrived.seen[part] === 0) {
          if (part < 32) low |= 1 << part
          else high |= 1 << (part - 32)
        }
    }
    if (this.#lost.has(number)) return { number, low: 0, high: 0 }
    const asked = this.#asked.get(number)
    if (asked === undefined || asked.request < 0) return { number, low, high }
    return { number, low: low & ~asked.low, high: high & ~asked.high }
  }

  #note({ number, low, high }: Parts, now: number): void {
    const asked = this.#asked.get(number)
    const request = (this.#request + 1) & 0xffff
    if (asked === undefined) {
      this.#asked.set(number, { low, high, since: now, tries: 1, request })
      if (this.#asked.size > REMEMBERED) this.#asked.delete(this.#asked.keys().next().value ?? 0)
      return
    }
    asked.low |= low
    asked.high |= high
    if (asked.request < 0) asked.tries++
    asked.request = request
  }

  /**
   * The peer has sent again what a request named, except for what it has no longer.
   * @param newest the highest number of a message that opened
   */
  answered(request: number, gone: readonly number[], newest: number, now: number): void {
    this.#until = now + BELIEVE_MS
    if (((this.#request - request) & 0xffff) < TIMED)
      this.#answerMs += (now - this.#askedAt[request % TIMED]! - this.#answerMs) / 4
    if (this.#next === 0) {
      this.#next = newest + 1
      this.#newest = newest
      return
    }
    for (const number of gone) if (number >= this.#next && number <= this.#newest) this.lose(number)
    // What this and earlier requests brought has arrived before the answer: the rest got lost once more.
    for (const [number, asked] of this.#asked) {
      if (number < this.#next || asked.request < 0 || ((request - asked.request) << 16) >> 16 < 0) continue
      if (asked.tries >= TRIES) this.lose(number)
      else asked.request = -1
    }
  }

  /** Whether the oldest missing message has been waited for long enough. */
  isOverdue(now: number): boolean {
    return this.dueMs(now) === 0
  }

  /** Ms until then; undefined: nothing was asked for. */
  dueMs(now: number): number | undefined {
    const asked = this.#next === 0 ? undefined : this.#asked.get(this.#next)
    if (asked === undefined) return undefined
    const holdMs = Math.min(MOST_HOLD_MS, Math.max(LEAST_HOLD_MS, HOLD_ANSWERS * this.#answerMs))
    return Math.max(0, asked.since + holdMs - now)
  }

  /** From now on messages are delivered as they come. */
  stop(): void {
    this.#next = 0
    this.#isSuspected = false
    this.#asked.clear()
    this.#lost.clear()
  }
}
