/** A message about a UDP path that other members carry: signed by its host, sealed for its receiver. */

import type { Millis } from '../../../../core/clock.ts'
import { isObject, isPositiveInteger } from '../../../../core/json.ts'
import { openSealed, sealFor } from '../../../gossip/sealed-box.ts'
import { isSignedBy, signatureOf } from '../../../gossip/signature.ts'
import type { Identity } from '../../../links/types.ts'

export interface Letter {
  readonly from: number
  readonly to: number
  /** Rises with each letter of its host. */
  readonly seq: number
  /** Wall clock of its host, ms. */
  readonly at: Millis
  /** base64 */
  readonly box: string
  /** base64, over all of the above. */
  readonly signature: string
}

/** Three links take three times half a round trip, and no host on the way keeps it. */
const LIFE_MS: Millis = 10_000
/** Clocks of hosts differ; a clock further off is an alarm of its own. */
const CLOCK_SLACK_MS: Millis = 5 * 60_000
/** An offer with 16 addresses is 1.3 KB. */
const MAX_PLAIN_BYTES = 4_096
const MAX_BOX_CHARS = 6_144
const SIGNATURE_CHARS = 88

type Unsigned = Omit<Letter, 'signature'>

/** No other signature of a host begins with these words. */
const signedText = (cluster: string, { from, to, seq, at, box }: Unsigned): Buffer =>
  Buffer.from(`flatnet letter 1\n${JSON.stringify([cluster, from, to, seq, at, box])}`)

/** A box opens in its own letter only. */
const contextOf = (cluster: string, { from, to, seq }: Pick<Letter, 'from' | 'to' | 'seq'>): Buffer =>
  Buffer.from(JSON.stringify(['letter', cluster, from, to, seq]))

export interface Place {
  readonly to: number
  /** Public key of the receiver (SPKI), DER. */
  readonly toSpki: Buffer
  readonly seq: number
  readonly at: Millis
}

/**
 * @returns undefined: no box can be sealed for the key that the receiver announced
 * @throws {RangeError} the message is longer than any about UDP paths
 */
export function writeLetter(
  identity: Identity,
  { to, toSpki, seq, at }: Place,
  message: unknown,
): Letter | undefined {
  const plain = Buffer.from(JSON.stringify(message))
  if (plain.length > MAX_PLAIN_BYTES)
    throw new RangeError(`letter of ${plain.length} bytes: at most ${MAX_PLAIN_BYTES}`)
  const { cluster, hostId: from } = identity
  const box = boxFor(toSpki, plain, contextOf(cluster, { from, to, seq }))
  if (box === undefined) return undefined
  const unsigned = { from, to, seq, at, box }
  return { ...unsigned, signature: signatureOf(signedText(cluster, unsigned), identity) }
}

function boxFor(spki: Buffer, plain: Buffer, context: Buffer): string | undefined {
  try {
    return sealFor(spki, plain, context).toString('base64')
  } catch {
    // A member's key of another kind, or a point that makes every secret the same: that host gets no letters.
    return undefined
  }
}

/** @returns undefined: it is not for this host, or holds no object */
export function openLetter(
  identity: Identity,
  letter: Letter,
): Readonly<Record<string, unknown>> | undefined {
  const { cluster, keyPem } = identity
  const plain = openSealed(keyPem, Buffer.from(letter.box, 'base64'), contextOf(cluster, letter))
  if (plain === undefined) return undefined
  try {
    const value: unknown = JSON.parse(plain.toString('utf8'))
    return isObject(value) ? value : undefined
  } catch {
    // Its host has signed it: a fault there, and as good as no letter.
    return undefined
  }
}

/** @returns the letter without what no signature covers: that would travel on. Undefined: it is none */
export function readLetter(value: unknown): Letter | undefined {
  if (!isObject(value)) return undefined
  const { from, to, seq, at, box, signature } = value
  if (!(isPositiveInteger(from) && isPositiveInteger(to) && isPositiveInteger(seq) && isPositiveInteger(at)))
    return undefined
  if (typeof box !== 'string' || box.length > MAX_BOX_CHARS) return undefined
  if (typeof signature !== 'string' || signature.length !== SIGNATURE_CHARS) return undefined
  return { from, to, seq, at, box, signature }
}

export type Refusal = 'expired' | 'from the future' | 'stranger' | 'forged'

/**
 * @param spki of the host that it names as its own; undefined: that host is no member, or has announced no key
 * @returns why it is neither carried nor read; undefined: it is in order
 */
export function whyRefused(
  letter: Letter,
  { cluster, spki, now }: { cluster: string; spki: Buffer | undefined; now: Millis },
): Refusal | undefined {
  if (letter.at + LIFE_MS + CLOCK_SLACK_MS <= now) return 'expired'
  if (letter.at > now + CLOCK_SLACK_MS) return 'from the future'
  if (spki === undefined) return 'stranger'
  return isSignedBy(spki, signedText(cluster, letter), letter.signature) ? undefined : 'forged'
}
