/** Races the addresses at which one peer may answer: which to probe when, and which one to use. Pure. */
import type { Millis } from '../../../../core/clock.ts'

/** 5 in the first 100 ms, then every 250 ms for 5 s, then each 30 s. */
const BURST_PROBES = 5
const BURST_MS: Millis = 100
const RACE_EVERY_MS: Millis = 250
const RACE_MS: Millis = 5_000
const REST_EVERY_MS: Millis = 30_000
/** An answer over the LAN wins at once; any other waits this long for a better one. */
const FIRST_CHOICE_MS: Millis = 100
/** Another address has to be a third better, and by more than jitter, so that packets do not flap. */
const BETTER_SHARE = 2 / 3
const BETTER_BY_MS: Millis = 2
/** A candidate that leaves probes without an answer for this long, and for four round trips, is not chosen. */
const SILENT_MS: Millis = 500
const SILENT_ROUND_TRIPS = 4
/** MAX_OFFERED: as many as an order of the gateway may hold. MAX_SEEN: addresses that only probes came from. */
const MAX_OFFERED = 64
const MAX_SEEN = 16
/** A probe is forgotten after this time without an answer. */
const ANSWER_MS: Millis = 3_000

interface Candidate {
  readonly address: string
  readonly isLan: boolean
  /** The peer's gateway offered it; false: a probe came from there. */
  isOffered: boolean
  rttMs?: Millis
  answeredAt?: Millis
  /** When the first probe went that still has no answer. */
  askedAt?: Millis | undefined
}

export interface Choice {
  readonly address: string
  readonly rttMs: Millis
}

export interface RaceProbe {
  readonly seq: number
  readonly address: string
}

export class CandidateRace {
  readonly #isLan: (address: string) => boolean
  readonly #candidates = new Map<string, Candidate>()
  readonly #out = new Map<number, { readonly address: string; readonly at: Millis }>()
  #nextSeq = 0
  #startedAt: Millis
  #rounds = 0
  #firstAnswerAt: Millis | undefined

  /** @param isLan whether an address is in a network of this host's own interfaces */
  constructor(isLan: (address: string) => boolean, now: Millis) {
    this.#isLan = isLan
    this.#startedAt = now
  }

  get addresses(): string[] {
    return [...this.#candidates.keys()]
  }

  /** Replaces the addresses that the peer's gateway offered before. New ones begin a race. */
  offer(addresses: readonly string[], now: Millis): void {
    const offered = new Set(addresses.slice(0, MAX_OFFERED))
    for (const candidate of this.#candidates.values()) candidate.isOffered = offered.has(candidate.address)
    const isNew = [...offered].filter((address) => this.#add(address, true)).length > 0
    this.#trim()
    if (isNew) this.restart(now)
  }

  /** A probe of the peer came from this address: its NAT has a mapping that no offer names. */
  seen(address: string): void {
    if (this.#add(address, false)) this.#trim()
  }

  /** Addresses changed on either host, or a person asked. */
  restart(now: Millis): void {
    this.#startedAt = now
    this.#rounds = 0
  }

  get nextAt(): Millis {
    if (this.#candidates.size === 0) return Number.POSITIVE_INFINITY
    return this.#startedAt + roundAt(this.#rounds)
  }

  /** One probe to each candidate whenever a round is due. A late loop skips the rounds that it missed. */
  tick(now: Millis): RaceProbe[] {
    for (const [seq, { at }] of this.#out) if (now - at > ANSWER_MS) this.#out.delete(seq)
    if (now < this.nextAt) return []
    while (this.#startedAt + roundAt(this.#rounds) <= now) this.#rounds++
    return [...this.#candidates.values()].map((candidate) => {
      const { address } = candidate
      candidate.askedAt ??= now
      const seq = this.#nextSeq
      this.#nextSeq = (this.#nextSeq + 1) >>> 0
      this.#out.set(seq, { address, at: now })
      return { seq, address }
    })
  }

  /** @returns whether the answer belongs to a probe of this race */
  answered(seq: number, now: Millis): boolean {
    const probe = this.#out.get(seq)
    const candidate = probe && this.#candidates.get(probe.address)
    if (probe === undefined || candidate === undefined) return false
    this.#out.delete(seq)
    const rttMs = now - probe.at
    // A race counts the least round trip, not the mean: waits in a queue say nothing about the path.
    const isOfThisRace = (candidate.answeredAt ?? Number.NEGATIVE_INFINITY) >= this.#startedAt
    candidate.rttMs = isOfThisRace ? Math.min(rttMs, candidate.rttMs ?? rttMs) : rttMs
    candidate.answeredAt = now
    candidate.askedAt = undefined
    this.#firstAnswerAt ??= now
    return true
  }

  /**
   * @param current the address in use and its round trip; undefined: none, or it does not answer
   * @returns undefined: keep it
   */
  choose(current: Choice | undefined, now: Millis): Choice | undefined {
    const [first, ...others] = [...this.#candidates.values()].filter((c) => isAlive(c, now))
    if (first === undefined) return undefined
    const best = others.reduce((a, b) => (isBefore(b, a) ? b : a), first)
    if (best.rttMs === undefined || best.address === current?.address) return undefined
    if (current === undefined) {
      const isEarly = now - (this.#firstAnswerAt ?? now) < FIRST_CHOICE_MS
      if (isEarly && !best.isLan) return undefined
    } else if (!isClearlyBetter(best, { ...current, isLan: this.#isLan(current.address) })) return undefined
    return { address: best.address, rttMs: best.rttMs }
  }

  #add(address: string, isOffered: boolean): boolean {
    const known = this.#candidates.get(address)
    if (known !== undefined) {
      known.isOffered ||= isOffered
      return false
    }
    this.#candidates.set(address, { address, isLan: this.#isLan(address), isOffered })
    return true
  }

  /** Keeps the newest of the candidates that no offer names. */
  #trim(): void {
    const seen = [...this.#candidates.values()].filter(({ isOffered }) => !isOffered)
    for (const { address } of seen.slice(0, Math.max(0, seen.length - MAX_SEEN)))
      this.#candidates.delete(address)
  }
}

/** When round `n` is due, counted from the start of the race. */
function roundAt(n: number): Millis {
  if (n < BURST_PROBES) return (n * BURST_MS) / BURST_PROBES
  const races = RACE_MS / RACE_EVERY_MS
  const later = n - BURST_PROBES + 1
  return later <= races ? later * RACE_EVERY_MS : RACE_MS + (later - races) * REST_EVERY_MS
}

function isAlive({ answeredAt, askedAt, rttMs = 0 }: Candidate, now: Millis): boolean {
  if (answeredAt === undefined) return false
  return askedAt === undefined || now - askedAt <= Math.max(SILENT_MS, SILENT_ROUND_TRIPS * rttMs)
}

type Measured = Pick<Candidate, 'isLan' | 'rttMs'>

const isBefore = (a: Measured, b: Measured): boolean =>
  a.isLan === b.isLan ? (a.rttMs ?? 0) < (b.rttMs ?? 0) : a.isLan

function isClearlyBetter(a: Measured, b: Measured): boolean {
  if (a.isLan !== b.isLan) return a.isLan
  const [mine, its] = [a.rttMs ?? 0, b.rttMs ?? 0]
  return mine < its * BETTER_SHARE && its - mine >= BETTER_BY_MS
}
