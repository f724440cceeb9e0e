/** Sends requests to one TURN server: retransmits, signs, and follows new nonces. Pure: time is an argument. */

import type { Millis } from '../../../../core/clock.ts'
import { type Credentials, longTermKey } from './credentials.ts'
import {
  type DecodedTurn,
  encodeTurn,
  type IntegrityHash,
  isSignedBy,
  type Signing,
  type TurnMessage,
} from './message.ts'

/**
 * RFC 8489, 6.2.1, begins with 0.5 s, for servers of which nothing is known; a server slower than 0.3 s is no good
 * relay. Sent after 0, 0.3, 0.9 and 2.1 s, given up after 4.5 s: one that is dead must not hold up the others' news.
 */
const RTO_MS: Millis = 300
const SENDS = 4
/** A server that changes its nonce with each answer would be asked for ever. */
const MAX_ROUNDS = 4
/** RFC 8489, 9.2: what a nonce begins with that tells of features; bit 0 is PASSWORD-ALGORITHMS. */
const NONCE_COOKIE = 'obMatJos2'
const FEATURE_DIGITS = 4
const ALGORITHM = { md5: 1, sha256: 2 } as const

export type TurnResult =
  | { readonly kind: 'success'; readonly message: TurnMessage; readonly rttMs: Millis | undefined }
  | { readonly kind: 'error'; readonly code: number; readonly alternate?: string | undefined }
  | { readonly kind: 'silent' }

export type TurnDone = (result: TurnResult, now: Millis) => void

type Asked = 'method' | 'lifetime' | 'channel' | 'peer' | 'isUdpWanted' | 'family'
export interface TurnRequest extends Pick<TurnMessage, Asked> {
  /** To sign it by; undefined: by those of the allocation. */
  readonly credentials?: Credentials
}

interface Transaction {
  readonly request: TurnRequest
  readonly done: TurnDone
  bytes: Uint8Array
  signing: Signing | undefined
  rounds: number
  sends: number
  sentAt: Millis
  nextAt: Millis
  isHurried?: boolean
}

interface Challenge {
  readonly realm: string
  readonly nonce: string
  readonly algorithms?: Uint8Array | undefined
}

export interface TurnRequestsDeps {
  /** 24 random hex digits, which a response has to repeat. */
  newTransaction(): string
  credentials(): Credentials
}

export class TurnRequests {
  readonly #deps: TurnRequestsDeps
  readonly #open = new Map<string, Transaction>()
  #challenge: Challenge | undefined

  constructor(deps: TurnRequestsDeps) {
    this.#deps = deps
  }

  get size(): number {
    return this.#open.size
  }

  get nextAt(): Millis {
    let at = Number.POSITIVE_INFINITY
    for (const { nextAt } of this.#open.values()) at = Math.min(at, nextAt)
    return at
  }

  /** @param done called once, unless `forget` comes first */
  send(request: TurnRequest, now: Millis, done: TurnDone): void {
    this.#begin(request, done, 0, now)
  }

  /** Responses to requests on their way are ignored. */
  forget(): void {
    this.#open.clear()
  }

  /** Something happened that may bring a response now: sends at once, and as often as the first time. */
  hurry(now: Millis): void {
    for (const open of this.#open.values()) {
      if (open.sends <= 1) continue
      open.sends = 1
      open.nextAt = now
      open.isHurried = true
    }
  }

  /** The credentials are others now: the next request begins without any, and learns the realm anew. */
  forgetLogin(): void {
    this.#challenge = undefined
  }

  /** For a request whose response nothing waits for. */
  once(request: TurnRequest): Uint8Array {
    return this.#write(request, this.#deps.newTransaction()).bytes
  }

  tick(now: Millis): Uint8Array[] {
    const out: Uint8Array[] = []
    for (const [transaction, open] of [...this.#open]) {
      // Handling an earlier one may have ended the others.
      if (now < open.nextAt || !this.#open.has(transaction)) continue
      if (open.sends >= SENDS) {
        this.#open.delete(transaction)
        open.done({ kind: 'silent' }, now)
        continue
      }
      open.nextAt = now + RTO_MS * 2 ** open.sends
      if (open.sends === 0) open.sentAt = now
      open.sends++
      out.push(open.bytes)
    }
    return out
  }

  /** A message of the server that is no indication. */
  handleResponse(bytes: Uint8Array, message: DecodedTurn, now: Millis): void {
    const open = this.#open.get(message.transaction)
    if (open === undefined || open.request.method !== message.method) return
    if (message.kind !== 'success' && message.kind !== 'error') return
    const isSigned = open.signing !== undefined && isSignedBy(bytes, message, open.signing)
    // An error may come without: the server that refuses a name has no key for it.
    if (!isSigned && (message.kind === 'success' || message.signatures.length > 0)) return
    this.#open.delete(message.transaction)
    if (message.kind === 'success') {
      // Which of several sends was answered is not known.
      const isFirst = open.sends === 1 && open.isHurried !== true
      open.done({ kind: 'success', message, rttMs: isFirst ? now - open.sentAt : undefined }, now)
    } else if (this.#goesOn(open, message)) this.#begin(open.request, open.done, open.rounds + 1, now)
    else open.done({ kind: 'error', code: message.errorCode ?? 0, alternate: message.alternate }, now)
  }

  /** 401 names the realm, 438 a new nonce: both want the request again, signed. */
  #goesOn(open: Transaction, { errorCode, realm, nonce, algorithms }: DecodedTurn): boolean {
    const isFirst = errorCode === 401 && open.signing === undefined
    if (!(isFirst || errorCode === 438) || open.rounds >= MAX_ROUNDS) return false
    const { realm: known } = this.#challenge ?? {}
    if (nonce === undefined || (realm ?? known) === undefined) return false
    const offers = tellsAlgorithms(nonce)
    // On the way the list was taken out: answering with MD5 would be what the attacker wants (RFC 8489, 9.2.4).
    if (offers && algorithms === undefined) return false
    this.#challenge = {
      realm: realm ?? known ?? '',
      nonce,
      ...(offers && { algorithms }),
    }
    return true
  }

  #begin(request: TurnRequest, done: TurnDone, rounds: number, now: Millis): void {
    const transaction = this.#deps.newTransaction()
    const { bytes, signing } = this.#write(request, transaction)
    this.#open.set(transaction, {
      request,
      done,
      bytes,
      signing,
      rounds,
      sends: 0,
      sentAt: now,
      nextAt: now,
    })
  }

  #write(
    request: TurnRequest,
    transaction: string,
  ): { readonly bytes: Uint8Array; readonly signing: Signing | undefined } {
    const { credentials = this.#deps.credentials(), ...asked } = request
    const message = { ...asked, kind: 'request', transaction } as const
    const challenge = this.#challenge
    if (challenge === undefined) return { bytes: encodeTurn(message), signing: undefined }
    const { realm, nonce, algorithms } = challenge
    const password = algorithms !== undefined && lists(algorithms, ALGORITHM.sha256) ? 'sha256' : 'md5'
    const hash: IntegrityHash = algorithms === undefined ? 'sha1' : 'sha256'
    const signing = { key: longTermKey(credentials, realm, password), hash }
    const { username } = credentials
    const chosen = algorithms === undefined ? {} : { algorithms, algorithm: ALGORITHM[password] }
    return { bytes: encodeTurn({ ...message, username, realm, nonce, ...chosen }, signing), signing }
  }
}

function tellsAlgorithms(nonce: string): boolean {
  if (!nonce.startsWith(NONCE_COOKIE)) return false
  const digits = nonce.slice(NONCE_COOKIE.length, NONCE_COOKIE.length + FEATURE_DIGITS)
  return ((Buffer.from(digits, 'base64')[2] ?? 0) & 1) !== 0
}

/** Entries of `{ algorithm u16, length u16, parameters, padding }`. */
function lists(algorithms: Uint8Array, wanted: number): boolean {
  const view = new DataView(algorithms.buffer, algorithms.byteOffset, algorithms.byteLength)
  for (let at = 0; at + 4 <= algorithms.byteLength; at += 4 + ((view.getUint16(at + 2) + 3) & ~3))
    if (view.getUint16(at) === wanted) return true
  return false
}
