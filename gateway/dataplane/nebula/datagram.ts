/** Probes and answers inside Nebula, authenticated by a key that both gateways have of their TLS connection. Pure. */

import { createHmac, timingSafeEqual } from 'node:crypto'
import {
  type Answer,
  decodeAnswer,
  decodeProbe,
  encodeAnswer,
  encodeProbe,
  type Probe,
} from '../p2p/process/messages.ts'

/** magic, type, three zeroes; then the message of a UDP path's probe, the tag, and padding. */
const MAGIC = Buffer.from('FNB1')
const TYPE = 4
const HEAD = 8
const MESSAGE_BYTES = 48
const TAG_BYTES = 16
/** Without padding. */
export const DATAGRAM_BYTES = HEAD + MESSAGE_BYTES + TAG_BYTES
const PROBE = 1
const ANSWER = 2

/** One for each direction, so that no datagram can be sent back to its sender. */
export interface ProbeKeys {
  readonly out: Buffer
  readonly in: Buffer
}

const KEY_BYTES = 32

/** @param secret 64 bytes of exportKeyingMaterial */
export function probeKeys(secret: Buffer, isLower: boolean): ProbeKeys {
  const [ofLower, ofHigher] = [secret.subarray(0, KEY_BYTES), secret.subarray(KEY_BYTES, 2 * KEY_BYTES)]
  return isLower ? { out: ofLower, in: ofHigher } : { out: ofHigher, in: ofLower }
}

/** Of what a container could send in their place nothing has the right tag; what is in a probe is no secret. */
const tagOf = (key: Buffer, bytes: Buffer): Buffer =>
  createHmac('sha256', key)
    .update(bytes.subarray(0, HEAD + MESSAGE_BYTES))
    .digest()
    .subarray(0, TAG_BYTES)

function seal(key: Buffer, type: number, message: Uint8Array, bytes: number): Buffer {
  const datagram = Buffer.alloc(Math.max(bytes, DATAGRAM_BYTES))
  MAGIC.copy(datagram)
  datagram[TYPE] = type
  datagram.set(message, HEAD)
  tagOf(key, datagram).copy(datagram, HEAD + MESSAGE_BYTES)
  return datagram
}

/** @param bytes of the datagram, padding included */
export const sealProbe = (keys: ProbeKeys, probe: Probe, bytes: number = DATAGRAM_BYTES): Buffer =>
  seal(keys.out, PROBE, encodeProbe(probe), bytes)

/** As short as can be: an answer that is no longer than its probe amplifies nothing. */
export const sealAnswer = (keys: ProbeKeys, answer: Answer): Buffer =>
  seal(keys.out, ANSWER, encodeAnswer(answer), DATAGRAM_BYTES)

export type Opened =
  | { readonly type: 'probe'; readonly probe: Probe }
  | { readonly type: 'answer'; readonly answer: Answer }

/** @returns undefined: it is not of this peer and this try */
export function open(keys: ProbeKeys, datagram: Buffer): Opened | undefined {
  if (datagram.byteLength < DATAGRAM_BYTES || MAGIC.compare(datagram, 0, MAGIC.byteLength) !== 0)
    return undefined
  const tag = datagram.subarray(HEAD + MESSAGE_BYTES, DATAGRAM_BYTES)
  if (!timingSafeEqual(tag, tagOf(keys.in, datagram))) return undefined
  const message = datagram.subarray(HEAD, HEAD + MESSAGE_BYTES)
  if (datagram[TYPE] === PROBE) {
    const probe = decodeProbe(message)
    return probe && { type: 'probe', probe }
  }
  const answer = datagram[TYPE] === ANSWER ? decodeAnswer(message) : undefined
  return answer && { type: 'answer', answer }
}
