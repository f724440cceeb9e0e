/** Finds the largest datagram that a path carries, by padded probes (RFC 8899). Pure. */
import type { Millis } from '../../../../core/clock.ts'
import type { ProbeSize } from './prober-action.ts'

/** RFC 8899 BASE_PLPMTU: IPv6 guarantees it, and providers' tunnels leave as much. IP packets with their headers. */
const BASE_MTU = 1_280
/** PPPoE leaves 1,492 of Ethernet's 1,500; VPNs and clouds leave 1,400. Jumbo frames exist only in a LAN. */
const STEPS = [BASE_MTU, 1_400, 1_492, 1_500] as const
const LAN_STEP = 9_000
/** One answer is not enough: it may have come by a path that is gone already. */
const PROOF_ANSWERS = 2
/** RFC 8899 MAX_PROBES: after this many without an answer, the size does not get through. */
const MAX_PROBES = 3
/** When a size that failed is tried again. */
const AGAIN_MS: Millis = 600_000
/** Between probes of one size. */
const EVERY_MS: Millis = 50

export interface MtuProbe {
  readonly seq: number
  /** Size of the IP packet. */
  readonly bytes: number
}

interface Search {
  readonly bytes: number
  tries: number
  answers: number
  /** When the newest probe counts as lost, or when the next one may go. */
  dueAt: Millis
  readonly seqs: Set<number>
}

export class PathMtu {
  #steps: readonly number[]
  #bytes: number = BASE_MTU
  /** Sizes that do not get through, and until when they are not tried again. */
  readonly #failed = new Map<number, Millis>()
  #search: Search | undefined
  #nextSeq = 0
  #isOpen = false

  /** @param isLan whether the peer is in a network of this host's own interfaces */
  constructor(isLan: boolean) {
    this.#steps = stepsOf(isLan)
  }

  /** The largest IP packet that is known to get through. */
  get bytes(): number {
    return this.#bytes
  }

  /** The IP packet of a probe; a `small` one is not padded to it. */
  bytesOf(size: ProbeSize): number {
    return size === 'full' ? this.#bytes : BASE_MTU
  }

  /** Forgets all sizes: packets take another path now. */
  restart(isLan: boolean): void {
    this.#steps = stepsOf(isLan)
    this.#bytes = BASE_MTU
    this.#failed.clear()
    this.#search = undefined
    this.#isOpen = false
  }

  /** The path gave its first answer: the search may begin. */
  open(): void {
    this.#isOpen = true
  }

  nextAt(now: Millis): Millis {
    if (!this.#isOpen) return Number.POSITIVE_INFINITY
    if (this.#search !== undefined) return this.#search.dueAt
    const next = this.#steps.find((bytes) => bytes > this.#bytes)
    return next === undefined ? Number.POSITIVE_INFINITY : Math.max(now, this.#failed.get(next) ?? now)
  }

  /** @param patienceMs how long to wait for an answer */
  tick(now: Millis, patienceMs: Millis): MtuProbe | undefined {
    if (!this.#isOpen) return undefined
    if (this.#search !== undefined && now >= this.#search.dueAt && this.#search.tries >= MAX_PROBES) {
      this.#fail(this.#search.bytes, now)
      this.#search = undefined
    }
    if (this.#search === undefined) {
      const bytes = this.#nextStep(now)
      if (bytes === undefined) return undefined
      this.#search = { bytes, tries: 0, answers: 0, dueAt: now, seqs: new Set() }
    }
    const search = this.#search
    if (now < search.dueAt) return undefined
    search.tries++
    search.dueAt = now + patienceMs
    const seq = this.#nextSeq
    this.#nextSeq = (this.#nextSeq + 1) >>> 0
    search.seqs.add(seq)
    return { seq, bytes: search.bytes }
  }

  /** @returns whether this answer raised the path MTU */
  answered(seq: number, now: Millis): boolean {
    const search = this.#search
    if (search === undefined || !search.seqs.delete(seq)) return false
    search.answers++
    search.tries = 0
    search.dueAt = Math.min(search.dueAt, now + EVERY_MS)
    if (search.answers < PROOF_ANSWERS) return false
    this.#bytes = search.bytes
    this.#search = undefined
    return true
  }

  /** The kernel refused `bytes` (EMSGSIZE): this host's own link is smaller. @returns whether the path MTU shrank */
  refused(bytes: number, now: Millis): boolean {
    if (this.#search !== undefined && this.#search.bytes === bytes) this.#search = undefined
    for (const step of this.#steps) if (step >= bytes) this.#fail(step, now)
    if (bytes > this.#bytes) return false
    const below = this.#steps.filter((step) => step < this.#bytes).at(-1)
    if (below === undefined) return false
    this.#bytes = below
    return true
  }

  /**
   * Full-size datagrams are lost while others arrive. The base size is safe, so it stops the loss; the sizes between
   * are tried at once, and the size that failed in ten minutes.
   * @returns whether the path MTU shrank; false: it was the base size already
   */
  blackHole(now: Millis): boolean {
    if (this.#bytes === BASE_MTU) return false
    for (const step of this.#steps) if (step >= this.#bytes) this.#fail(step, now)
    this.#bytes = BASE_MTU
    this.#search = undefined
    return true
  }

  #fail(bytes: number, now: Millis): void {
    if (bytes > BASE_MTU) this.#failed.set(bytes, now + AGAIN_MS)
  }

  /** The next larger size, unless it is known to fail: then all larger ones fail too. */
  #nextStep(now: Millis): number | undefined {
    const next = this.#steps.find((bytes) => bytes > this.#bytes)
    if (next === undefined) return undefined
    return (this.#failed.get(next) ?? Number.NEGATIVE_INFINITY) <= now ? next : undefined
  }
}

const stepsOf = (isLan: boolean): readonly number[] => (isLan ? [...STEPS, LAN_STEP] : STEPS)
