/** Decides when two hosts change their keys, who answers, and which of two simultaneous offers counts. Pure. */
import type { Millis } from '../../../../core/clock.ts'

/** WireGuard's REKEY_AFTER_TIME. At 10 Gbit/s keys seal 2^33 blocks by then, far below AES-GCM's bound. */
const REKEY_AFTER_MS: Millis = 120_000
/** Or after this many messages, if they come first. */
const REKEY_AFTER_MESSAGES = 2 ** 32
/** The higher hostId lets the lower one begin: simultaneous offers are resolved, but cost a key pair. */
const HIGHER_WAITS_MS: Millis = 5_000
/** Datagrams get lost: sends the same offer again, and less often after a few. */
const RETRY_MS: Millis = 1_000
const SLOW_RETRY_MS: Millis = 5_000
const QUICK_TRIES = 5
/** The path ends when rekeying has failed for this long. */
const GIVE_UP_MS: Millis = 300_000

export interface KeyPair {
  /** 32 bytes of X25519. */
  readonly publicKey: Uint8Array
  /** The shared secret with a peer's public key, 32 bytes. @throws for a point of small order */
  agree(publicKey: Uint8Array): Uint8Array
}

export type RekeyAction =
  | { readonly do: 'offer'; readonly epoch: number; readonly publicKey: Uint8Array }
  | { readonly do: 'answer'; readonly epoch: number; readonly publicKey: Uint8Array }
  /** `now`: the peer has the keys; `heard`: it may not have them yet. */
  | { readonly do: 'replace'; readonly dh: Uint8Array; readonly when: 'now' | 'heard' }
  | { readonly do: 'expired' }

export interface RekeyOptions {
  /** Whether this host has the lower hostId: its offer counts when both offer at once. */
  readonly isLower: boolean
  createKeyPair(): KeyPair
  /** Tests wait less. Default 120 s. */
  readonly everyMs?: Millis | undefined
  /** 0 to 1; 1 is the whole interval. Without it 253 rekeys at once took 0.1 s of the loop. Default 1. */
  random?(): number
}

/** The least part of the interval. */
const LEAST_SHARE = 0.8

interface Offer {
  readonly pair: KeyPair
  readonly since: Millis
  tries: number
  nextAt: Millis
}

export class Rekey {
  readonly #options: RekeyOptions
  /** Which keys seal now; 0: those of the attempt. */
  #epoch = 0
  #dueAt: Millis
  #messagesAt = 0
  #own: Offer | undefined
  /** The last offer that this host answered, and its answer, in case the peer asks again. */
  #answered:
    | { readonly epoch: number; readonly offer: Uint8Array; readonly publicKey: Uint8Array }
    | undefined

  constructor(options: RekeyOptions, now: Millis) {
    this.#options = options
    this.#dueAt = now + this.#everyMs
  }

  get epoch(): number {
    return this.#epoch
  }

  get nextAt(): Millis {
    return this.#own?.nextAt ?? this.#dueAt
  }

  /** @param messages sealed for the peer so far @param isAlive whether the path answers; else nothing is sent */
  tick(now: Millis, messages: number, isAlive: boolean): RekeyAction[] {
    if (!isAlive) {
      this.#own = undefined
      this.#dueAt = Math.max(this.#dueAt, now + RETRY_MS)
      return []
    }
    if (this.#own === undefined) {
      if (now < this.#dueAt && messages - this.#messagesAt < REKEY_AFTER_MESSAGES) return []
      this.#own = { pair: this.#options.createKeyPair(), since: now, tries: 0, nextAt: now }
    }
    const own = this.#own
    if (now - own.since >= GIVE_UP_MS) return [{ do: 'expired' }]
    if (now < own.nextAt) return []
    own.tries++
    own.nextAt = now + (own.tries < QUICK_TRIES ? RETRY_MS : SLOW_RETRY_MS)
    return [{ do: 'offer', epoch: this.#epoch + 1, publicKey: own.pair.publicKey }]
  }

  offered(epoch: number, offer: Uint8Array): RekeyAction[] {
    const before = this.#answered
    // The answer was lost: send it again, even if these keys are in use here already.
    if (before?.epoch === epoch && isSame(before.offer, offer))
      return [{ do: 'answer', epoch, publicKey: before.publicKey }]
    if (epoch !== this.#epoch + 1) return []
    // Both offered at once: the higher hostId answers, and the lower one waits for that answer.
    if (this.#own !== undefined && this.#options.isLower) return []
    const pair = this.#options.createKeyPair()
    const dh = agreed(pair, offer)
    if (dh === undefined) return []
    this.#own = undefined
    this.#answered = { epoch, offer, publicKey: pair.publicKey }
    return [
      { do: 'replace', dh, when: 'heard' },
      { do: 'answer', epoch, publicKey: pair.publicKey },
    ]
  }

  answered(epoch: number, publicKey: Uint8Array, now: Millis, messages: number): RekeyAction[] {
    if (this.#own === undefined || epoch !== this.#epoch + 1) return []
    const dh = agreed(this.#own.pair, publicKey)
    if (dh === undefined) return []
    this.#done(now, messages)
    return [{ do: 'replace', dh, when: 'now' }]
  }

  /** The peer seals with the new keys: they are in use both ways now. */
  confirmed(now: Millis, messages: number): void {
    if (this.#answered?.epoch === this.#epoch + 1) this.#done(now, messages)
  }

  get #everyMs(): Millis {
    const { everyMs = REKEY_AFTER_MS, isLower } = this.#options
    if (!isLower) return everyMs + Math.min(HIGHER_WAITS_MS, everyMs)
    return everyMs * (LEAST_SHARE + (1 - LEAST_SHARE) * (this.#options.random?.() ?? 1))
  }

  #done(now: Millis, messages: number): void {
    this.#epoch++
    this.#own = undefined
    this.#dueAt = now + this.#everyMs
    this.#messagesAt = messages
  }
}

/** @returns undefined for a public key that no honest peer sends */
function agreed(pair: KeyPair, publicKey: Uint8Array): Uint8Array | undefined {
  try {
    const dh = pair.agree(publicKey)
    return dh.some((byte) => byte !== 0) ? dh : undefined
  } catch {
    // OpenSSL refuses points of small order. The sender is authenticated, so its host is at fault, and is asked again.
    return undefined
  }
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0
