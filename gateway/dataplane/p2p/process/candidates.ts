/** Races the addresses at which one peer may answer: which to probe when, and which one to use. Pure. */
import type { Millis } from '../../../../core/clock.ts'

/**
 * Between the first probes of two candidates: the likeliest one has the path to itself for so long (Happy Eyeballs).
 * RFC 8445, 14.2, starts pairs 50 ms apart; RFC 8305's 250 ms are for handshakes, which cost more than a datagram.
 */
const STAGGER_MS: Millis = 50
/** Addresses on TURN servers are probed when all others have had this long: relaying costs a third party traffic. */
const RELAYED_WAIT_MS: Millis = 500
/** Of each candidate: 5 in its first 100 ms, then every 250 ms for 5 s, then each 30 s. */
const BURST_PROBES = 5
const BURST_MS: Millis = 100
const RACE_EVERY_MS: Millis = 250
const RACE_MS: Millis = 5_000
const REST_EVERY_MS: Millis = 30_000
/** After these many each probe is one of the rest. */
const QUICK_PROBES = BURST_PROBES + RACE_MS / RACE_EVERY_MS
/**
 * The first that answers is used, and the race goes on. Another address has to be a third better, and by more than
 * jitter, so that packets do not flap.
 */
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
  /** The peer's gateway offered it; false: a probe came from there. */
  isOffered: boolean
  /** When its first probe is due, and how many have gone since then. */
  startAt: Millis
  rounds: number
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
  readonly #isRelayed: (address: string) => boolean
  readonly #candidates = new Map<string, Candidate>()
  readonly #out = new Map<number, { readonly address: string; readonly at: Millis }>()
  #nextSeq = 0
  #startedAt: Millis

  /**
   * @param isLan whether an address is in a network of this host's own interfaces
   * @param isRelayed whether it leads through a TURN server
   */
  constructor(
    isLan: (address: string) => boolean,
    now: Millis,
    isRelayed: (address: string) => boolean = () => false,
  ) {
    this.#isLan = isLan
    this.#isRelayed = isRelayed
    this.#startedAt = now
  }

  get addresses(): string[] {
    return [...this.#candidates.keys()]
  }

  /** Replaces the addresses that the peer's gateway offered before, the likeliest first. New ones begin at once. */
  offer(addresses: readonly string[], now: Millis): void {
    const offered = new Set(addresses.slice(0, MAX_OFFERED))
    for (const candidate of this.#candidates.values()) candidate.isOffered = offered.has(candidate.address)
    this.#start(
      [...offered].flatMap((address) => this.#add(address, true) ?? []),
      now,
    )
    this.#trim()
  }

  /**
   * A probe of the peer came from this address. If its NAT has a mapping there that no offer names, it is asked at once
   * (the triggered check of RFC 8445, 7.3.1.4).
   */
  seen(address: string, now: Millis): void {
    const added = this.#add(address, false)
    if (added === undefined) return
    this.#start([added], now)
    this.#trim()
  }

  /** Addresses changed on either host, or a person asked. */
  restart(now: Millis): void {
    this.#startedAt = now
    this.#start([...this.#candidates.values()], now)
  }

  get nextAt(): Millis {
    let at = Number.POSITIVE_INFINITY
    for (const candidate of this.#candidates.values()) at = Math.min(at, dueAt(candidate))
    return at
  }

  /**
   * A probe to each candidate that is due. A late loop skips the rounds that it missed.
   * @param used the address in use, if it answers: once its race is over, the path's own probes tell more
   */
  tick(now: Millis, used?: string): RaceProbe[] {
    for (const [seq, { at }] of this.#out) if (now - at > ANSWER_MS) this.#out.delete(seq)
    const due = [...this.#candidates.values()].filter((candidate) => dueAt(candidate) <= now)
    return due.flatMap((candidate) => {
      const { address } = candidate
      const isSpared = address === used && candidate.rounds >= QUICK_PROBES
      while (dueAt(candidate) <= now) candidate.rounds++
      if (isSpared) return []
      candidate.askedAt ??= now
      const seq = this.#nextSeq
      this.#nextSeq = (this.#nextSeq + 1) >>> 0
      this.#out.set(seq, { address, at: now })
      return [{ seq, address }]
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
    return true
  }

  /** The kernel has no way there, so earlier answers count no more. */
  unreachable(address: string): void {
    const candidate = this.#candidates.get(address)
    if (candidate?.isOffered === false) this.#candidates.delete(address)
    else if (candidate !== undefined) delete candidate.answeredAt
  }

  /**
   * @param current the address in use and its round trip; undefined: none, or it does not answer
   * @returns undefined: keep it
   */
  choose(current: Choice | undefined, now: Millis): Choice | undefined {
    const [first, ...others] = [...this.#candidates.values()].filter((c) => isAlive(c, now))
    if (first === undefined) return undefined
    const best = others.reduce((a, b) => (isBefore(this.#measured(b), this.#measured(a)) ? b : a), first)
    if (best.rttMs === undefined || best.address === current?.address) return undefined
    if (current !== undefined && !isClearlyBetter(this.#measured(best), this.#measured(current)))
      return undefined
    return { address: best.address, rttMs: best.rttMs }
  }

  #measured({ address, rttMs }: Pick<Candidate, 'address' | 'rttMs'>): Measured {
    return { rank: this.#rank(address), rttMs }
  }

  #rank(address: string): number {
    if (this.#isRelayed(address)) return 2
    return this.#isLan(address) ? 0 : 1
  }

  /** Those of the LAN first, then in the order in which they were offered, those on TURN servers last. */
  #start(candidates: readonly Candidate[], now: Millis): void {
    const inOrder = candidates.toSorted((a, b) => this.#rank(a.address) - this.#rank(b.address))
    for (const [i, candidate] of inOrder.entries()) {
      const from = this.#isRelayed(candidate.address) ? Math.max(now, this.#startedAt + RELAYED_WAIT_MS) : now
      candidate.startAt = from + i * STAGGER_MS
      candidate.rounds = 0
    }
  }

  /** @returns the candidate, if it is new */
  #add(address: string, isOffered: boolean): Candidate | undefined {
    const known = this.#candidates.get(address)
    if (known !== undefined) {
      known.isOffered ||= isOffered
      return undefined
    }
    const candidate = { address, isOffered, startAt: 0, rounds: 0 }
    this.#candidates.set(address, candidate)
    return candidate
  }

  /** Keeps the newest of the candidates that no offer names. */
  #trim(): void {
    const seen = [...this.#candidates.values()].filter(({ isOffered }) => !isOffered)
    for (const { address } of seen.slice(0, Math.max(0, seen.length - MAX_SEEN)))
      this.#candidates.delete(address)
  }
}

const dueAt = ({ startAt, rounds }: Candidate): Millis => startAt + roundAt(rounds)

/** When round `n` of a candidate is due, counted from its first. */
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

interface Measured {
  /** 0: LAN, 1: direct, 2: through a TURN server. */
  readonly rank: number
  readonly rttMs: Millis | undefined
}

const isBefore = (a: Measured, b: Measured): boolean =>
  a.rank === b.rank ? (a.rttMs ?? 0) < (b.rttMs ?? 0) : a.rank < b.rank

function isClearlyBetter(a: Measured, b: Measured): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank
  const [mine, its] = [a.rttMs ?? 0, b.rttMs ?? 0]
  return mine < its * BETTER_SHARE && its - mine >= BETTER_BY_MS
}
