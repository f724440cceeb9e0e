/** A small message that other members keep and pass on: signed by its host, sealed for its receiver. */

import { createPublicKey } from 'node:crypto'
import type { Millis } from '../../core/clock.ts'
import { isObject, isPositiveInteger } from '../../core/json.ts'
import { keyIdOfSpki } from '../links/tls.ts'
import type { Identity } from '../links/types.ts'
import { MAX_BODY_BYTES } from './http-message.ts'
import { BOX_OVERHEAD, openSealed, sealFor } from './sealed-box.ts'
import { isSignedBy, signatureOf } from './signature.ts'

const KINDS = ['request', 'answer'] as const
type Kind = (typeof KINDS)[number]

export interface Envelope {
  readonly from: number
  readonly to: number
  /** Rises with each message of its host; at least the milliseconds of its clock, so a lost disk sets nothing back. */
  readonly seq: number
  /** Wall clock of its host, ms. */
  readonly at: Millis
  readonly expires: Millis
  readonly kind: Kind
  /** Of an answer: the seq of the request, which its host `to` wrote. */
  readonly re?: number
  /** base64 */
  readonly box: string
  /** Public key of its host (SPKI), base64; its SHA-256 is the member's keyId. */
  readonly spki: string
  /** base64, over all of the above but the key. */
  readonly signature: string
}

/** With its head, which is as long as heads are that servers take. */
export const MAX_PLAIN_BYTES = MAX_BODY_BYTES + 16 * 1024
export const LIFE_MS: Millis = 24 * 3_600_000
/** Clocks of hosts differ; a clock further off is an alarm of its own. */
const CLOCK_SLACK_MS: Millis = 5 * 60_000
const MAX_BOX_CHARS = Math.ceil((MAX_PLAIN_BYTES + BOX_OVERHEAD) / 3) * 4
const MAX_KEY_CHARS = 128

type Unsigned = Omit<Envelope, 'spki' | 'signature'>

const signedText = (cluster: string, e: Unsigned): Buffer =>
  Buffer.from(
    `flatnet message 1\n${JSON.stringify([cluster, e.from, e.to, e.seq, e.at, e.expires, e.kind, e.re ?? 0, e.box])}`,
  )

/** A box opens in its own envelope only. */
const contextOf = (cluster: string, e: Pick<Envelope, 'from' | 'to' | 'seq' | 'kind'>): Buffer =>
  Buffer.from(JSON.stringify([cluster, e.from, e.to, e.seq, e.kind]))

export const keyOf = ({ from, seq }: Pick<Envelope, 'from' | 'seq'>): string => `${from}-${seq}`

export interface Unsealed {
  readonly to: number
  /** Of the receiver, DER. */
  readonly toSpki: Buffer
  readonly kind: Kind
  readonly re?: number
  readonly plain: Buffer
  /** How long it may travel; a day at most, and if not given. */
  readonly lifeMs?: Millis
}

/** @throws {RangeError} more than MAX_PLAIN_BYTES */
export function writeEnvelope(identity: Identity, unsealed: Unsealed, seq: number, now: Millis): Envelope {
  const { kind, lifeMs = LIFE_MS, plain, re, to, toSpki } = unsealed
  if (plain.length > MAX_PLAIN_BYTES)
    throw new RangeError(`message of ${plain.length} bytes: at most ${MAX_PLAIN_BYTES}`)
  const { cluster, hostId: from, keyPem } = identity
  const box = sealFor(toSpki, plain, contextOf(cluster, { from, to, seq, kind })).toString('base64')
  const times = { at: now, expires: now + lifeMs }
  const unsigned: Unsigned = { from, to, seq, ...times, kind, ...(re !== undefined && { re }), box }
  return {
    ...unsigned,
    spki: createPublicKey(keyPem).export({ type: 'spki', format: 'der' }).toString('base64'),
    signature: signatureOf(signedText(cluster, unsigned), identity),
  }
}

/** @returns undefined: it is not for this host, or was changed */
export const openEnvelope = (identity: Identity, envelope: Envelope): Buffer | undefined =>
  openSealed(identity.keyPem, Buffer.from(envelope.box, 'base64'), contextOf(identity.cluster, envelope))

const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' && value.length <= max

/** @returns the envelope without what no signature covers: that would be kept and travel on. Undefined: it is none */
export function readEnvelope(value: unknown): Envelope | undefined {
  if (!isObject(value)) return undefined
  const { from, to, seq, at, expires, re, box, spki, signature } = value
  const kind = KINDS.find((known) => known === value['kind'])
  if (
    !(
      isPositiveInteger(from) &&
      isPositiveInteger(to) &&
      isPositiveInteger(seq) &&
      isPositiveInteger(at) &&
      isPositiveInteger(expires)
    )
  )
    return undefined
  if (kind === undefined || (re !== undefined && !isPositiveInteger(re))) return undefined
  if (!isText(box, MAX_BOX_CHARS) || !isText(spki, MAX_KEY_CHARS) || !isText(signature, MAX_KEY_CHARS))
    return undefined
  return { from, to, seq, at, expires, kind, ...(re !== undefined && { re }), box, spki, signature }
}

export type Refusal = 'expired' | 'from the future' | 'stranger' | 'forged'

/**
 * @param keyId of the host that it names as its own; undefined: that host is no member
 * @returns why it is not kept; undefined: it is in order
 */
export function whyRefused(
  envelope: Envelope,
  { cluster, keyId, now }: { cluster: string; keyId: string | undefined; now: Millis },
): Refusal | undefined {
  if (envelope.expires <= now) return 'expired'
  // Not its number: after its host's clock was ahead, numbers stay ahead.
  const isLate = envelope.at > now + CLOCK_SLACK_MS
  if (isLate || envelope.expires > envelope.at + LIFE_MS) return 'from the future'
  const spki = Buffer.from(envelope.spki, 'base64')
  if (keyId === undefined || keyIdOfSpki(spki) !== keyId) return 'stranger'
  return isSignedBy(spki, signedText(cluster, envelope), envelope.signature) ? undefined : 'forged'
}
