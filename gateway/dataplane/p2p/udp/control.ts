/** Encodes the text of control datagrams, `type u8, length u16, payload, padding`, and acknowledgements. Pure. */

const HEAD = 3
export const ACKNOWLEDGE = 0
const ACK_BYTES = 10

/** @returns where the payload lies, or undefined when its length does not fit */
export function payloadIn(
  text: Uint8Array,
): { readonly type: number; readonly payload: Uint8Array } | undefined {
  if (text.byteLength < HEAD) return undefined
  const length = (text[1]! << 8) | text[2]!
  if (HEAD + length > text.byteLength) return undefined
  return { type: text[0]!, payload: text.subarray(HEAD, HEAD + length) }
}

/** What a receiver reports about the data that one key has opened. */
interface Acknowledgement {
  /** The key's index, as in the header of datagrams. */
  readonly index: number
  /** Low bits of the newest complete message's number. */
  readonly id: number
  /** How many datagrams had arrived by then, modulo 2^32. */
  readonly received: number
}

/** Reused by each call. */
const acknowledgement = new DataView(new ArrayBuffer(ACK_BYTES))

export function encodeAck({ index, id, received }: Acknowledgement): Uint8Array {
  acknowledgement.setUint32(0, index)
  acknowledgement.setUint16(4, id)
  acknowledgement.setUint32(6, received)
  return new Uint8Array(acknowledgement.buffer)
}

/** @returns undefined when the payload is too short; later versions may add fields */
export function decodeAck(payload: Uint8Array): Acknowledgement | undefined {
  if (payload.byteLength < ACK_BYTES) return undefined
  const view = new DataView(payload.buffer, payload.byteOffset, ACK_BYTES)
  return { index: view.getUint32(0), id: view.getUint16(4), received: view.getUint32(6) }
}
