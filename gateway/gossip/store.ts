/**
 * Messages that this host keeps until they arrive or expire, and which it has had. Bounded for each host that writes
 * and in all.
 */

import type { Millis } from '../../core/clock.ts'
import { type Envelope, keyOf } from './envelope.ts'

/** What is on disk of one message. */
export type Kept =
  | { readonly hops: number; readonly envelope: Envelope }
  /** Only that it was here: it is not taken a second time before it expires. */
  | { readonly done: Done }
  /** Of a host's numbers up to this one, those that expired by then are forgotten here. */
  | { readonly expired: Expired }

type Done = Pick<Envelope, 'from' | 'seq' | 'expires'>

interface Expired {
  readonly from: number
  readonly seq: number
  /** The latest time, by this host's clock, at which one was forgotten. */
  readonly at: Millis
}

export interface MessageDisk {
  load(): readonly Kept[]
  /** @param isDurable whether it must outlast a loss of power once this returns; each fsync stops the gateway for ms */
  save(key: string, kept: Kept, isDurable: boolean): void
  remove(key: string): void
}

/** Which messages a host has, or had: seqs by the host that wrote them. */
export type Digest = Readonly<Record<number, readonly number[]>>

/**
 * So many messages of a kind that wait say that their host floods: its last one is refused, and its writer sees that.
 * Requests do not take the places of answers.
 */
const MAX_OF_KIND = 64
const MAX_BYTES_OF_HOST = 4 * 1024 * 1024
const MAX_BYTES = 64 * 1024 * 1024
/** So many a day. Beyond them a message is not taken, as it could not be told from one that was here. */
const MAX_KNOWN_OF_HOST = 1_024
/** In the place of a number, in the name of the file that says which are forgotten. */
export const EXPIRED = 0
/** Beside the box: names, numbers, key and signature. */
const ENVELOPE_BYTES = 512

const sizeOf = ({ box }: Envelope): number => box.length + ENVELOPE_BYTES

interface OfHost {
  readonly waiting: Map<number, { readonly hops: number; readonly envelope: Envelope }>
  /** seq to expiry, of those above too. */
  readonly known: Map<number, Millis>
  /** What it says counts as known, also when this host's clock jumps ahead by days and back again. */
  expired: Expired
  bytes: number
}

export class MessageStore {
  readonly #disk: MessageDisk
  readonly #hosts = new Map<number, OfHost>()
  #bytes = 0

  constructor(disk: MessageDisk) {
    this.#disk = disk
    for (const kept of disk.load()) {
      if ('done' in kept) this.#of(kept.done.from).known.set(kept.done.seq, kept.done.expires)
      else if ('expired' in kept) this.#of(kept.expired.from).expired = kept.expired
      else this.#hold(kept.hops, kept.envelope)
    }
  }

  get size(): number {
    return [...this.#hosts.values()].reduce((sum, { waiting }) => sum + waiting.size, 0)
  }

  get bytes(): number {
    return this.#bytes
  }

  isKnown({ expires, from, seq }: Done): boolean {
    const host = this.#hosts.get(from)
    if (host === undefined) return false
    // Both: numbers do not expire in their order, and what was written since the jump has a higher one.
    return host.known.has(seq) || (seq <= host.expired.seq && expires <= host.expired.at)
  }

  /** Whether it has written as many messages as are told apart from earlier ones. */
  isFullOf(from: number): boolean {
    return (this.#hosts.get(from)?.known.size ?? 0) >= MAX_KNOWN_OF_HOST
  }

  /** The highest seq of a host; 0: none. */
  highest(from: number): number {
    const host = this.#hosts.get(from)
    return host === undefined ? 0 : Math.max(host.expired.seq, ...host.known.keys())
  }

  /** @returns why there is no room; undefined: it is kept, and on disk */
  add(hops: number, envelope: Envelope): string | undefined {
    const { bytes, waiting } = this.#of(envelope.from)
    const size = sizeOf(envelope)
    const ofKind = [...waiting.values()].filter((held) => held.envelope.kind === envelope.kind).length
    if (ofKind >= MAX_OF_KIND) return `${MAX_OF_KIND} messages of host ${envelope.from} wait`
    if (this.isFullOf(envelope.from)) return `${MAX_KNOWN_OF_HOST} messages of host ${envelope.from} in a day`
    if (bytes + size > MAX_BYTES_OF_HOST || this.#bytes + size > MAX_BYTES) return 'no room for messages'
    this.#disk.save(keyOf(envelope), { hops, envelope }, true)
    this.#hold(hops, envelope)
    return undefined
  }

  /** The same message came over fewer links, so it may go on over more. */
  shorten(hops: number, { from, seq }: Pick<Envelope, 'from' | 'seq'>): void {
    const waiting = this.#hosts.get(from)?.waiting
    const held = waiting?.get(seq)
    if (held === undefined || hops >= held.hops) return
    const nearer = { hops, envelope: held.envelope }
    this.#disk.save(keyOf({ from, seq }), nearer, false)
    waiting?.set(seq, nearer)
  }

  get(from: number, seq: number): { readonly hops: number; readonly envelope: Envelope } | undefined {
    return this.#hosts.get(from)?.waiting.get(seq)
  }

  /** It arrived here: it stays known, also after a loss of power, so it is not taken twice. */
  finish(message: Done): void {
    this.#finish(message, true)
  }

  /** It arrived at its host: it is passed on no more. At worst it goes there once more, where it is known. */
  letGo(message: Done): void {
    this.#finish(message, false)
  }

  /** What was for this host, and it has. */
  finishArrived(hostId: number, digest: Digest): void {
    for (const [from, { waiting }] of this.#hosts) {
      const had = new Set(digest[from])
      for (const [seq, { envelope }] of waiting)
        if (envelope.to === hostId && had.has(seq)) this.letGo(envelope)
    }
  }

  digest(): Digest {
    return Object.fromEntries([...this.#hosts].map(([from, { known }]) => [from, [...known.keys()]]))
  }

  /** Keys of what waits here and is not in the digest of another host. */
  lackedBy(digest: Digest): { readonly from: number; readonly seq: number }[] {
    return [...this.#hosts].flatMap(([from, { waiting }]) => {
      const had = new Set(digest[from])
      return [...waiting.keys()].filter((seq) => !had.has(seq)).map((seq) => ({ from, seq }))
    })
  }

  /** Forgets what has expired. */
  sweep(now: Millis): void {
    for (const [from, host] of this.#hosts) {
      const over = [...host.known].flatMap(([seq, expires]) => (expires > now ? [] : [seq]))
      if (over.length === 0) continue
      const { at, seq } = host.expired
      host.expired = { from, seq: Math.max(seq, ...over), at: Math.max(at, now) }
      this.#disk.save(keyOf({ from, seq: EXPIRED }), { expired: host.expired }, false)
      for (const number of over) this.#forget(from, number)
    }
  }

  #forget(from: number, seq: number): void {
    this.#disk.remove(keyOf({ from, seq }))
    this.#drop(from, seq)
    this.#hosts.get(from)?.known.delete(seq)
  }

  #finish({ from, seq, expires }: Done, isDurable: boolean): void {
    this.#disk.save(keyOf({ from, seq }), { done: { from, seq, expires } }, isDurable)
    this.#drop(from, seq)
    this.#of(from).known.set(seq, expires)
  }

  #of(from: number): OfHost {
    const found = this.#hosts.get(from) ?? {
      waiting: new Map(),
      known: new Map(),
      expired: { from, seq: 0, at: 0 },
      bytes: 0,
    }
    this.#hosts.set(from, found)
    return found
  }

  #hold(hops: number, envelope: Envelope): void {
    const host = this.#of(envelope.from)
    host.waiting.set(envelope.seq, { hops, envelope })
    host.known.set(envelope.seq, envelope.expires)
    host.bytes += sizeOf(envelope)
    this.#bytes += sizeOf(envelope)
  }

  #drop(from: number, seq: number): void {
    const host = this.#hosts.get(from)
    const held = host?.waiting.get(seq)
    if (host === undefined || held === undefined) return
    host.waiting.delete(seq)
    host.bytes -= sizeOf(held.envelope)
    this.#bytes -= sizeOf(held.envelope)
  }
}
