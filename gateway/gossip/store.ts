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
  | { readonly done: Pick<Envelope, 'from' | 'seq' | 'expires'> }

export interface MessageDisk {
  load(): readonly Kept[]
  /** Is on disk when it returns. */
  save(key: string, kept: Kept): void
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
/** Beside the box: names, numbers, key and signature. */
const ENVELOPE_BYTES = 512

const sizeOf = ({ box }: Envelope): number => box.length + ENVELOPE_BYTES

interface OfHost {
  readonly waiting: Map<number, { readonly hops: number; readonly envelope: Envelope }>
  /** seq to expiry, of those above too. */
  readonly known: Map<number, Millis>
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
      else this.#hold(kept.hops, kept.envelope)
    }
  }

  get size(): number {
    return [...this.#hosts.values()].reduce((sum, { waiting }) => sum + waiting.size, 0)
  }

  get bytes(): number {
    return this.#bytes
  }

  isKnown(from: number, seq: number): boolean {
    return this.#hosts.get(from)?.known.has(seq) === true
  }

  /** Whether it has written as many messages as are told apart from earlier ones. */
  isFullOf(from: number): boolean {
    return (this.#hosts.get(from)?.known.size ?? 0) >= MAX_KNOWN_OF_HOST
  }

  /** The highest seq of a host; 0: none. */
  highest(from: number): number {
    return Math.max(0, ...(this.#hosts.get(from)?.known.keys() ?? []))
  }

  /** @returns why there is no room; undefined: it is kept, and on disk */
  add(hops: number, envelope: Envelope): string | undefined {
    const { bytes, waiting } = this.#of(envelope.from)
    const size = sizeOf(envelope)
    const ofKind = [...waiting.values()].filter((held) => held.envelope.kind === envelope.kind).length
    if (ofKind >= MAX_OF_KIND) return `${MAX_OF_KIND} messages of host ${envelope.from} wait`
    if (this.isFullOf(envelope.from)) return `${MAX_KNOWN_OF_HOST} messages of host ${envelope.from} in a day`
    if (bytes + size > MAX_BYTES_OF_HOST || this.#bytes + size > MAX_BYTES) return 'no room for messages'
    this.#disk.save(keyOf(envelope), { hops, envelope })
    this.#hold(hops, envelope)
    return undefined
  }

  get(from: number, seq: number): { readonly hops: number; readonly envelope: Envelope } | undefined {
    return this.#hosts.get(from)?.waiting.get(seq)
  }

  /** It arrived, here or there: it is passed on no more, and stays known. On disk when it returns. */
  finish({ from, seq, expires }: Pick<Envelope, 'from' | 'seq' | 'expires'>): void {
    this.#disk.save(keyOf({ from, seq }), { done: { from, seq, expires } })
    this.#drop(from, seq)
    this.#of(from).known.set(seq, expires)
  }

  /** What was for this host, and it has. */
  finishArrived(hostId: number, digest: Digest): void {
    for (const [from, { waiting }] of this.#hosts) {
      const had = new Set(digest[from])
      for (const [seq, { envelope }] of waiting)
        if (envelope.to === hostId && had.has(seq)) this.finish(envelope)
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
    for (const [from, { known }] of this.#hosts) {
      for (const [seq, expires] of known) {
        if (expires > now) continue
        this.#disk.remove(keyOf({ from, seq }))
        this.#drop(from, seq)
        known.delete(seq)
      }
      if (known.size === 0) this.#hosts.delete(from)
    }
  }

  #of(from: number): OfHost {
    const found = this.#hosts.get(from) ?? { waiting: new Map(), known: new Map(), bytes: 0 }
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
