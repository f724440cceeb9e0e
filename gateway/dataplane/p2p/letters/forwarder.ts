/** Passes letters on between hosts that no link connects: at once, over three links at most, and each of them once. */

import type { Millis } from '../../../../core/clock.ts'
import type { Log } from '../../../../core/log.ts'
import { type Allowance, Bucket } from '../../../base/bucket.ts'
import { sample } from '../../../base/sample.ts'
import type { Scheduler } from '../../../base/scheduler.ts'
import type { ControlMessage } from '../../../links/types.ts'
import { type Letter, type Refusal, readLetter } from './letter.ts'
import { SeenLetters } from './seen-letters.ts'

export const CARRY = 'p2p.carry'
/** A, B, C, D: what is further away has no common network in practice, and each link more triples a flood. */
const MAX_HOPS = 3
/** Of members that may lead to the receiver, where none says so. */
const FAN_OUT = 3
/** Of members that say they have a link to the receiver: one may be about to lose it. */
const NEAR_FAN_OUT = 2
/** How long the member that brought a host's last letter is the way to that host. */
const LEARNED_MS: Millis = 30_000
/** Of one host's letters, wherever they come from: a try takes ten, and it may have one with each of many. */
const OF_SENDER: Allowance = { burst: 64, perSecond: 8 }
/** So many are left for a try with a host that answers, when others that do not are called. */
const FOR_TRIES = 24
/** Of one link: what several hosts behind it send. */
const OF_PEER: Allowance = { burst: 512, perSecond: 64 }

export type LetterCount = 'sent' | 'passed' | 'arrived' | 'refused'

export interface LetterForwarderDeps {
  readonly hostId: number
  readonly scheduler: Scheduler
  readonly random: () => number
  readonly log: Log
  /** Members that a link stands to. */
  linked(): readonly number[]
  /**
   * Whether a linked member says that it carries letters. One of an older version counts each among the few messages
   * about UDP paths that it reads, and would read no offers.
   */
  takesLetters(hostId: number): boolean
  /** Of those, the ones that say they have a link to the host. */
  leadingTo(hostId: number): readonly number[]
  send(hostId: number, message: ControlMessage): boolean
  whyRefused(letter: Letter): Refusal | undefined
  /** A letter for this host, in order and never here before. */
  arrived(letter: Letter): void
  count(what: LetterCount, reason?: string): void
}

export class LetterForwarder {
  readonly #deps: LetterForwarderDeps
  readonly #seen = new SeenLetters()
  /** By host, which member brought its last letter. */
  readonly #learned = new Map<number, { readonly peerId: number; readonly at: Millis }>()
  readonly #ofSender = new Map<number, Bucket>()
  readonly #ofPeer = new Map<number, Bucket>()

  constructor(deps: LetterForwarderDeps) {
    this.#deps = deps
  }

  /** Whether this host may call another one: others would refuse its letters beyond their bound. */
  get mayCall(): boolean {
    const { hostId, scheduler } = this.#deps
    return this.#ofSender.get(hostId)?.holds(FOR_TRIES, scheduler.monotonic()) ?? true
  }

  /** @returns false: it went nowhere */
  post(letter: Letter): boolean {
    if (!this.#spend(this.#ofSender, letter.from, OF_SENDER)) return this.#refused('too many')
    this.#seen.add(letter.from, letter.seq)
    const sent = this.#pass(letter, 0, undefined)
    if (sent > 0) this.#deps.count('sent')
    return sent > 0 || this.#refused('no way')
  }

  /** A message of a linked member. */
  receive(peerId: number, message: ControlMessage): void {
    const reason = this.#receive(peerId, message)
    if (reason !== undefined) this.#refused(reason, peerId)
  }

  /** @returns why it is refused; undefined: it is in order */
  #receive(peerId: number, { hops, letter: given }: ControlMessage): string | undefined {
    const { arrived, count, hostId, scheduler, whyRefused } = this.#deps
    const isCount = typeof hops === 'number' && Number.isInteger(hops) && hops >= 1 && hops <= MAX_HOPS
    const letter = readLetter(given)
    if (!isCount || letter === undefined) return 'malformed'
    if (!this.#spend(this.#ofPeer, peerId, OF_PEER)) return 'too many'
    const { from, seq, to } = letter
    // Of several ways that one letter takes, all but the first end here; and so does one that is sent again.
    if (from === hostId || this.#seen.has(from, seq)) return 'known'
    const refusal = whyRefused(letter)
    if (refusal !== undefined) return refusal
    if (!this.#spend(this.#ofSender, from, OF_SENDER)) return 'too many'
    this.#seen.add(from, seq)
    this.#learned.set(from, { peerId, at: scheduler.monotonic() })
    if (to === hostId) {
      count('arrived')
      arrived(letter)
      return undefined
    }
    if (this.#pass(letter, hops, peerId) === 0) return 'no way'
    count('passed')
    return undefined
  }

  /** @returns to how many members it went */
  #pass(letter: Letter, hops: number, cameFrom: number | undefined): number {
    const message = { type: CARRY, hops: hops + 1, letter }
    return this.#next(letter, hops, cameFrom).filter((id) => this.#deps.send(id, message)).length
  }

  #next({ from, to }: Letter, hops: number, cameFrom: number | undefined): readonly number[] {
    const { leadingTo, linked, random, scheduler, takesLetters } = this.#deps
    const others = linked().filter((id) => id !== cameFrom && id !== from && takesLetters(id))
    if (others.includes(to)) return [to]
    if (hops + 1 >= MAX_HOPS) return []
    const near = leadingTo(to).filter((id) => others.includes(id))
    // At random: the nearest one may be the one that does not answer.
    if (near.length > 0) return sample(near, NEAR_FAN_OUT, random)
    const learned = this.#learned.get(to)
    const isFresh = learned !== undefined && scheduler.monotonic() - learned.at < LEARNED_MS
    return isFresh && others.includes(learned.peerId) ? [learned.peerId] : sample(others, FAN_OUT, random)
  }

  #spend(buckets: Map<number, Bucket>, hostId: number, allowance: Allowance): boolean {
    const bucket = buckets.get(hostId) ?? new Bucket(allowance)
    buckets.set(hostId, bucket)
    return bucket.spend(1, this.#deps.scheduler.monotonic())
  }

  #refused(reason: string, peerId?: number): false {
    const { count, log } = this.#deps
    count('refused', reason)
    if (reason !== 'known') log.debug({ peer: peerId, reason }, 'letter of a member was refused')
    return false
  }
}
