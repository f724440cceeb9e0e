/**
 * Encodes the text of control datagrams, `type u8, length u16, payload, padding`, and the plane's own payloads. Pure.
 */
import type { Parts } from './flow/parts.ts'

const HEADER = 3
export const ACKNOWLEDGE = 0
/** A receiver names the parts of whole messages that it misses. */
export const REQUEST = 1
/** The sender has sent them again, but for those that it names. */
export const RESENT = 2
const ACK_BYTES = 11
/** Peers of earlier versions leave the last byte out. */
const LEAST_ACK_BYTES = 10
const RESENDS = 1
const RESEND_HEAD = 8
const PARTS_BYTES = 10

/** @returns where the payload lies, or undefined when its length does not fit */
export function payloadIn(
  text: Uint8Array,
): { readonly type: number; readonly payload: Uint8Array } | undefined {
  if (text.byteLength < HEADER) return undefined
  const length = (text[1]! << 8) | text[2]!
  if (HEADER + length > text.byteLength) return undefined
  return { type: text[0]!, payload: text.subarray(HEADER, HEADER + length) }
}

/** What a receiver reports about the data that one key has opened. */
interface Acknowledgement {
  /** The key's index, as in the header of datagrams. */
  readonly index: number
  /** Low bits of the newest complete message's number. */
  readonly id: number
  /** How many datagrams had arrived by then, modulo 2^32. */
  readonly received: number
  /** Whether this host knows requests and answers them. */
  readonly canResend: boolean
}

/** Reused by each call. */
const acknowledgement = new DataView(new ArrayBuffer(ACK_BYTES))

export function encodeAck({ index, id, received, canResend }: Acknowledgement): Uint8Array {
  acknowledgement.setUint32(0, index)
  acknowledgement.setUint16(4, id)
  acknowledgement.setUint32(6, received)
  acknowledgement.setUint8(10, canResend ? RESENDS : 0)
  return new Uint8Array(acknowledgement.buffer)
}

/** @returns undefined when the payload is too short; later versions may add fields */
export function decodeAck(payload: Uint8Array): Acknowledgement | undefined {
  if (payload.byteLength < LEAST_ACK_BYTES) return undefined
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const flags = payload.byteLength < ACK_BYTES ? 0 : view.getUint8(10)
  return {
    index: view.getUint32(0),
    id: view.getUint16(4),
    received: view.getUint32(6),
    canResend: (flags & RESENDS) !== 0,
  }
}

/** A request, or the answer to it. */
export interface Resend {
  /** Of the key that sealed the messages. */
  readonly index: number
  /** Number of the request, 16 bits. */
  readonly request: number
  /** Of an answer: whether the sender goes on sending again. */
  readonly isOn: boolean
  /** Missing parts in a request, those that are gone in an answer. Of each number only the low 16 bits. */
  readonly parts: readonly Parts[]
}

/** `index u32, request u16, isOn u8, count u8`, then of each message `id u16, low u32, high u32`. */
export function encodeResend({ index, request, isOn, parts }: Resend): Uint8Array {
  const bytes = new Uint8Array(RESEND_HEAD + parts.length * PARTS_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, index)
  view.setUint16(4, request)
  view.setUint8(6, isOn ? 1 : 0)
  view.setUint8(7, parts.length)
  parts.forEach(({ number, low, high }, i) => {
    const at = RESEND_HEAD + i * PARTS_BYTES
    view.setUint16(at, number & 0xffff)
    view.setUint32(at + 2, low)
    view.setUint32(at + 6, high)
  })
  return bytes
}

/** @returns undefined when the payload is too short */
export function decodeResend(payload: Uint8Array): Resend | undefined {
  if (payload.byteLength < RESEND_HEAD) return undefined
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const count = view.getUint8(7)
  if (payload.byteLength < RESEND_HEAD + count * PARTS_BYTES) return undefined
  const parts = Array.from({ length: count }, (_, i) => {
    const at = RESEND_HEAD + i * PARTS_BYTES
    return { number: view.getUint16(at), low: view.getUint32(at + 2), high: view.getUint32(at + 6) }
  })
  return { index: view.getUint32(0), request: view.getUint16(4), isOn: view.getUint8(6) === 1, parts }
}
