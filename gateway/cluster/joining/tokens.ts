/** One-time tokens: their text, and the book of those that were given out, which holds only hashes. */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { LowSync } from 'lowdb'
import { formatPrefix, ipv4Bytes, ipv4FromBytes, type Prefix4 } from '../../../core/addr.ts'
import type { Millis } from '../../../core/clock.ts'
import { isObject } from '../../../core/json.ts'
import type { ClusterFiles } from '../identity/files.ts'

/** What a newcomer knows before it has spoken to any host. */
export interface Token {
  /** SHA-256 of the CA's certificate, hex: a host without that CA is not of this cluster. */
  readonly caFingerprint: string
  /** 16 random bytes, hex. */
  readonly secret: string
  /** The host that made it, and the only one that it may be shown to. */
  readonly hostId: number
  readonly supernet: Prefix4
  readonly hostPrefix: number
  /** Whole seconds, as ms since the epoch. */
  readonly expiresAt: Millis
  /** `host:port` of that host, the best first. */
  readonly addresses: readonly string[]
}

/** Searchable: a person who finds a token in a log can see what it is. */
const PREFIX = 'fnj_'
const VERSION = 1
const CHECK_BYTES = 4
/** version, fingerprint, secret, hostId, supernet, its length, hostPrefix, expiry */
const FIXED_BYTES = 1 + 32 + 16 + 2 + 4 + 1 + 1 + 4

export class TokenTextError extends Error {
  override readonly name = 'TokenTextError'
}

const sha256 = (data: Buffer): Buffer => createHash('sha256').update(data).digest()

export function encodeToken(token: Token): string {
  const fixed = Buffer.alloc(8)
  fixed.set(ipv4Bytes(token.supernet.base))
  fixed[4] = token.supernet.prefixLen
  fixed[5] = token.hostPrefix
  fixed.writeUInt16BE(token.hostId, 6)
  const expiry = Buffer.alloc(4)
  expiry.writeUInt32BE(Math.floor(token.expiresAt / 1000))
  const body = Buffer.concat([
    Buffer.of(VERSION),
    Buffer.from(token.caFingerprint, 'hex'),
    Buffer.from(token.secret, 'hex'),
    fixed,
    expiry,
    Buffer.from(token.addresses.join(' ')),
  ])
  return PREFIX + Buffer.concat([body, sha256(body).subarray(0, CHECK_BYTES)]).toString('base64url')
}

/** @throws {TokenTextError} what is wrong with the text; never the text itself */
export function decodeToken(text: string): Token {
  if (!text.startsWith(PREFIX)) throw new TokenTextError(`it does not begin with ${PREFIX}`)
  const all = Buffer.from(text.slice(PREFIX.length), 'base64url')
  const body = all.subarray(0, -CHECK_BYTES)
  const isWhole =
    body.length >= FIXED_BYTES && sha256(body).subarray(0, CHECK_BYTES).equals(all.subarray(-CHECK_BYTES))
  if (!isWhole)
    throw new TokenTextError('it is not complete: copy the whole line that `flatnet token` printed')
  if (body[0] !== VERSION) throw new TokenTextError('it is of another version of Flatnet')
  return {
    caFingerprint: body.toString('hex', 1, 33),
    secret: body.toString('hex', 33, 49),
    supernet: { base: ipv4FromBytes(body.subarray(49, 53)), prefixLen: body[53] ?? 0 },
    hostPrefix: body[54] ?? 0,
    hostId: body.readUInt16BE(55),
    expiresAt: body.readUInt32BE(57) * 1000,
    addresses: body.toString('utf8', 61).split(' ').filter(Boolean),
  }
}

/** What the operator asked for when the token was made. */
export interface Grant {
  /** This number instead of the lowest free one. */
  readonly hostId?: number
  /** The number of a machine that is replaced; its key is revoked when the token is used. */
  readonly replaces?: number
}

export interface TokenRecord extends Grant {
  /** SHA-256 of the secret, hex. */
  readonly hash: string
  readonly madeAt: Millis
  readonly expiresAt: Millis
  /** The key that came with it. */
  readonly spent?: { readonly keyId: string; readonly hostId: number; readonly at: Millis }
}

/** How long a spent token is remembered, so that a replay is recognized, and a joiner that crashed as well. */
const REMEMBERED_MS: Millis = 24 * 3_600_000
/** At once; the oldest is forgotten first. */
const MAX_TOKENS = 256

export type Shown =
  | { readonly ok: true; readonly record: TokenRecord }
  | { readonly ok: false; readonly code: 'expired' | 'spent' | 'unknown'; readonly reason: string }

/** A torn file is none: its tokens are unknown then, and have to be made again. */
function parseRecords(text: string): TokenRecord[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return []
  }
  if (!Array.isArray(value)) return []
  return value.filter(
    (r) => isObject(r) && /^[0-9a-f]{64}$/.test(String(r['hash'])) && Number.isFinite(r['expiresAt']),
  )
}

/** One process at a time: the gateway of an admitting host. Every change is on disk before a host learns of it. */
export class TokenBook {
  readonly #db: LowSync<TokenRecord[]>

  constructor(files: ClusterFiles) {
    this.#db = files.database<TokenRecord[]>('tokens', parseRecords, [])
    this.#db.read()
  }

  /** @returns the secret, hex; nothing can show it again */
  make(now: Millis, ttlMs: Millis, grant: Grant = {}): { secret: string; expiresAt: Millis } {
    const secret = randomBytes(16)
    // Whole seconds, as the token's text holds them.
    const expiresAt = Math.ceil((now + ttlMs) / 1000) * 1000
    const record: TokenRecord = { hash: sha256(secret).toString('hex'), madeAt: now, expiresAt, ...grant }
    this.#keep([...this.#current(now), record].slice(-MAX_TOKENS))
    return { secret: secret.toString('hex'), expiresAt }
  }

  /**
   * Whether a secret may be used by a key. The same key may come back with it: it did not receive the answer.
   * @param secret hex, from a stranger
   */
  show(secret: string, keyId: string, now: Millis): Shown {
    const record = this.#find(secret)
    if (record === undefined)
      return { ok: false, code: 'unknown', reason: 'no such token was made here, or it is long over' }
    if (record.spent !== undefined && record.spent.keyId !== keyId) {
      const at = new Date(record.spent.at).toISOString()
      return {
        ok: false,
        code: 'spent',
        reason: `the token was used at ${at}, by host ${record.spent.hostId}`,
      }
    }
    if (record.spent === undefined && now >= record.expiresAt) {
      const at = new Date(record.expiresAt).toISOString()
      return { ok: false, code: 'expired', reason: `the token expired at ${at}` }
    }
    return { ok: true, record }
  }

  /** Whether this host made it, spent or not. @param secret hex, from a stranger */
  has(secret: string): boolean {
    return this.#find(secret) !== undefined
  }

  /** On disk before the certificate is made. */
  spend(record: TokenRecord, keyId: string, hostId: number, now: Millis): void {
    const spent = { ...record, spent: { keyId, hostId, at: now } }
    this.#keep(this.#current(now).map((r) => (r.hash === record.hash ? spent : r)))
  }

  get open(): number {
    return this.#db.data.filter((r) => r.spent === undefined).length
  }

  #find(secret: string): TokenRecord | undefined {
    const hash = sha256(Buffer.from(secret, 'hex'))
    return this.#db.data.find((r) => timingSafeEqual(Buffer.from(r.hash, 'hex'), hash))
  }

  #current(now: Millis): TokenRecord[] {
    return this.#db.data.filter((r) => now < Math.max(r.expiresAt, r.spent?.at ?? 0) + REMEMBERED_MS)
  }

  #keep(records: TokenRecord[]): void {
    this.#db.data = records
    this.#db.write()
  }
}

/** `10.100.0.0/16, a /24 for each host` */
export const describeNet = ({ supernet, hostPrefix }: Pick<Token, 'supernet' | 'hostPrefix'>): string =>
  `${formatPrefix(supernet)}, a /${hostPrefix} for each host`
