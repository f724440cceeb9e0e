/**
 * Whether the text of a message would cost more to parse than any message of the protocol.
 *
 * JSON.parse cannot be interrupted, and its time and memory depend on how many objects there are: of 1 MiB, published
 * ports take 5 ms, but objects with a new key each 90 ms, and nested arrays 60 ms. Looking at the bytes takes 2 ms.
 */

/**
 * Keys and objects, of which a list of 254 members has 3,000; tables have arrays. 16 ms when all are different.
 */
const MAX_KEYS = 16_384
/** One port of a table is an array of 20 bytes or more; as many hosts fit into a list of versions. 5 ms. */
const MAX_ARRAYS = 32_768
/** A record's ports lie five deep. */
const MAX_DEPTH = 32

const QUOTE = 0x22
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** @returns what there is too much of; undefined: it may be parsed */
export function whyCostly(text: Buffer): string | undefined {
  let keys = 0
  let arrays = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const byte = text[at]!
    if (byte === QUOTE) at = endOfString(text, at)
    else if (byte === COLON) keys++
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (byte === OPEN_OBJECT) keys++
      else arrays++
      if (++depth > MAX_DEPTH) return `values more than ${MAX_DEPTH} deep`
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--
  }
  if (keys > MAX_KEYS) return `${keys} keys and objects: at most ${MAX_KEYS}`
  return arrays > MAX_ARRAYS ? `${arrays} arrays: at most ${MAX_ARRAYS}` : undefined
}

/** @param at of the opening quote. @returns that of the closing one, or the text's end */
function endOfString(text: Buffer, at: number): number {
  for (let end = at + 1; end < text.length; end++) {
    const byte = text[end]!
    if (byte === QUOTE) return end
    if (byte === BACKSLASH) end++
  }
  return text.length
}
