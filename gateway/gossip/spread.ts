/**
 * Passes messages on to other members until they reach their host: straight if there is a link, else by three members,
 * each of which does the same, over five links at most. What a member lacks it gets when a link to it comes up.
 */

import type { Millis } from '../../core/clock.ts'
import { isObject } from '../../core/json.ts'
import type { Log } from '../../core/log.ts'
import { type Allowance, Bucket } from '../base/bucket.ts'
import { sample } from '../base/sample.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { ControlMessage } from '../links/types.ts'
import { type Envelope, type Refusal, readEnvelope } from './envelope.ts'
import type { Digest, MessageStore } from './store.ts'

const MAX_HOPS = 5
const FAN_OUT = 3
const COMPARE_MS: Millis = 5 * 60_000
/** 110 KB each, so a link carries 1.1 MB/s of them and its heartbeats do not wait. */
const SEND_EVERY_MS: Millis = 100
/** A peer that passes on what waited for an hour; then what comes in anew. */
const OF_PEER: Allowance = { burst: 256, perSecond: 10 }
/** Four at 5 min are normal. A member with many seqs makes long digests, which cost time. */
const DIGESTS_OF_PEER: Allowance = { burst: 8, perSecond: 0.1 }
const MAX_DIGEST = 65_536

export interface SpreadDeps {
  readonly hostId: number
  readonly store: MessageStore
  readonly scheduler: Scheduler
  readonly random: () => number
  readonly log: Log
  /** Peers that a link stands to. */
  linked(): readonly number[]
  send(hostId: number, message: ControlMessage): boolean
  whyRefused(envelope: Envelope): Refusal | undefined
  /** Whether a message for this host is taken now; else it stays where it is. */
  isTaken(envelope: Envelope): boolean
  /** A message for this host. A request comes once; an answer that cannot be kept comes again. */
  arrived(envelope: Envelope): void
  count(what: 'sent' | 'passed' | 'arrived' | 'refused', reason?: string): void
}

interface Peer {
  readonly messages: Bucket
  readonly digests: Bucket
  /** Keys of what it is to get. */
  readonly queue: { readonly from: number; readonly seq: number }[]
  cancel: (() => void) | undefined
}

export class Spread {
  readonly #deps: SpreadDeps
  /** Kept while links come and go: dialling anew wins nothing. Members are few. */
  readonly #peers = new Map<number, Peer>()
  #stop = (): void => {}

  constructor(deps: SpreadDeps) {
    this.#deps = deps
  }

  start(): void {
    const { random, scheduler } = this.#deps
    this.#stop = scheduler.every(COMPARE_MS, () => this.#compare(), random)
  }

  stop(): void {
    this.#stop()
    for (const peer of this.#peers.values()) peer.cancel?.()
  }

  /** A message that this host has written. @returns why it cannot be kept; undefined: it is on its way */
  post(envelope: Envelope): string | undefined {
    const problem = this.#deps.store.add(0, envelope)
    if (problem !== undefined) return problem
    this.#deps.count('sent')
    this.#passOn(envelope, undefined)
    return undefined
  }

  /** Both ends send what they have. */
  linkUp(hostId: number): void {
    this.#sendDigest(hostId, true)
  }

  linkDown(hostId: number): void {
    const peer = this.#peers.get(hostId)
    if (peer === undefined) return
    peer.queue.length = 0
    peer.cancel?.()
    peer.cancel = undefined
  }

  /** A message whose type begins with `gossip.`. */
  receive(from: number, message: ControlMessage): void {
    const reason = this.#receive(from, message)
    if (reason === undefined) return
    this.#deps.count('refused', reason)
    this.#deps.log.debug({ peer: from, reason }, 'message of a member refused')
  }

  /** @returns why it is refused; undefined: it is in order */
  #receive(from: number, message: ControlMessage): string | undefined {
    if (message.type === 'gossip.message') return this.#onMessage(from, message)
    if (message.type === 'gossip.arrived') return this.#onArrived(from, message)
    return message.type === 'gossip.digest' ? this.#onDigest(from, message) : 'malformed'
  }

  #onMessage(peerId: number, { hops, envelope: given }: ControlMessage): string | undefined {
    const { hostId, scheduler, store, whyRefused } = this.#deps
    const isCount = typeof hops === 'number' && Number.isInteger(hops) && hops >= 1 && hops <= MAX_HOPS
    const envelope = readEnvelope(given)
    if (!isCount || envelope === undefined) return 'malformed'
    if (!this.#peer(peerId).messages.spend(1, scheduler.monotonic())) return 'too many'
    const isKnown = store.isKnown(envelope)
    if (isKnown && envelope.to === hostId) this.#confirm(peerId, envelope)
    if (isKnown) this.#shorten(peerId, hops, envelope)
    if (isKnown || envelope.from === hostId) return undefined
    const refusal = whyRefused(envelope)
    if (refusal !== undefined) return refusal
    this.#finishAnswered(envelope)
    return envelope.to === hostId ? this.#receiveOwn(peerId, envelope) : this.#keep(peerId, hops, envelope)
  }

  #receiveOwn(peerId: number, envelope: Envelope): string | undefined {
    const { arrived, count, isTaken, store } = this.#deps
    if (!isTaken(envelope)) return 'stopping'
    if (store.isFullOf(envelope.from)) return 'no room'
    // A request must not run twice, so it is known first. An answer must not be lost, so it is kept first.
    if (envelope.kind === 'request') store.finish(envelope)
    arrived(envelope)
    if (envelope.kind === 'answer') store.finish(envelope)
    this.#confirm(peerId, envelope)
    count('arrived')
    return undefined
  }

  #keep(peerId: number, hops: number, envelope: Envelope): string | undefined {
    if (this.#deps.store.add(hops, envelope) !== undefined) return 'no room'
    this.#passOn(envelope, peerId)
    return undefined
  }

  /** It came over five links first and went no further; over fewer it does. */
  #shorten(peerId: number, hops: number, { from, seq }: Envelope): void {
    const { store } = this.#deps
    const held = store.get(from, seq)
    if (held === undefined || held.hops < MAX_HOPS || hops >= MAX_HOPS) return
    store.shorten(hops, { from, seq })
    this.#passOn(held.envelope, peerId)
  }

  /** The member that brought it need not keep it any longer. */
  #confirm(peerId: number, { from, seq }: Envelope): void {
    this.#deps.send(peerId, { type: 'gossip.arrived', from, seq })
  }

  #onArrived(peerId: number, { from, seq }: ControlMessage): string | undefined {
    if (typeof from !== 'number' || typeof seq !== 'number') return 'malformed'
    const held = this.#deps.store.get(from, seq)
    if (held?.envelope.to === peerId) this.#deps.store.letGo(held.envelope)
    return undefined
  }

  /** An answer says that its request arrived. Only the request's receiver can have signed it. */
  #finishAnswered({ from, re, to }: Envelope): void {
    const { store } = this.#deps
    const request = re === undefined ? undefined : store.get(to, re)
    if (request?.envelope.to === from) store.letGo(request.envelope)
  }

  #onDigest(peerId: number, { held, isAnswer }: ControlMessage): string | undefined {
    const { scheduler, store } = this.#deps
    if (!this.#peer(peerId).digests.spend(1, scheduler.monotonic())) return 'too many'
    if (!isDigest(held)) return 'malformed'
    store.finishArrived(peerId, held)
    for (const lacked of store.lackedBy(held)) this.#enqueue(peerId, lacked)
    if (isAnswer !== true) this.#sendDigest(peerId, true)
    return undefined
  }

  /** @param cameFrom the peer that has it already; undefined: none */
  #passOn(envelope: Envelope, cameFrom: number | undefined): void {
    const linked = this.#deps.linked().filter((hostId) => hostId !== cameFrom && hostId !== envelope.from)
    const { random } = this.#deps
    const chosen = linked.includes(envelope.to) ? [envelope.to] : sample(linked, FAN_OUT, random)
    for (const hostId of chosen) this.#enqueue(hostId, envelope)
  }

  #enqueue(hostId: number, { from, seq }: { readonly from: number; readonly seq: number }): void {
    const { queue, cancel } = this.#peer(hostId)
    if (queue.some((each) => each.from === from && each.seq === seq)) return
    queue.push({ from, seq })
    if (cancel === undefined) this.#sendNext(hostId)
  }

  #sendNext(hostId: number): void {
    const { count, scheduler, send, store } = this.#deps
    const peer = this.#peer(hostId)
    peer.cancel = undefined
    for (let next = peer.queue.shift(); next !== undefined; next = peer.queue.shift()) {
      const held = store.get(next.from, next.seq)
      if (held === undefined || held.hops >= MAX_HOPS) continue
      // What a link does not take comes again with the next digest.
      if (!send(hostId, { type: 'gossip.message', hops: held.hops + 1, envelope: held.envelope })) return
      if (held.hops > 0) count('passed')
      peer.cancel = scheduler.after(SEND_EVERY_MS, () => this.#sendNext(hostId))
      return
    }
  }

  /** For what was lost on its way: a link that broke, a member that was full. */
  #compare(): void {
    const { linked, random } = this.#deps
    const [hostId] = sample(linked(), 1, random)
    if (hostId !== undefined) this.#sendDigest(hostId)
  }

  #sendDigest(hostId: number, isAnswer = false): void {
    this.#deps.send(hostId, { type: 'gossip.digest', held: this.#deps.store.digest(), isAnswer })
  }

  #peer(hostId: number): Peer {
    const found = this.#peers.get(hostId) ?? {
      messages: new Bucket(OF_PEER),
      digests: new Bucket(DIGESTS_OF_PEER),
      queue: [],
      cancel: undefined,
    }
    this.#peers.set(hostId, found)
    return found
  }
}

function isDigest(value: unknown): value is Digest {
  if (!isObject(value)) return false
  const lists = Object.values(value)
  const size = lists.reduce<number>(
    (sum, list) => sum + (Array.isArray(list) ? list.length : MAX_DIGEST + 1),
    0,
  )
  return size <= MAX_DIGEST && lists.every((l) => Array.isArray(l) && l.every((n) => Number.isSafeInteger(n)))
}
