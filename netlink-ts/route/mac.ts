/** Link-layer addresses as text and as bytes. */

/** @param text six pairs of hex digits, e.g. `0a:64:0a:64:01:0a` @throws {RangeError} anything else */
export function macBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(6)
  // No regular expression: compiling one costs more than all the rest.
  let isRight = text.length === 17
  for (let i = 0; isRight && i < 6; i++) {
    const [high, low] = [digit(text.charCodeAt(i * 3)), digit(text.charCodeAt(i * 3 + 1))]
    isRight = high >= 0 && low >= 0 && (i === 5 || text[i * 3 + 2] === ':')
    bytes[i] = high * 16 + low
  }
  if (!isRight) throw new RangeError(`not a MAC address: ${JSON.stringify(text)}`)
  return bytes
}

/** @returns -1: not a hexadecimal digit */
function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  const lower = code | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}

/** Formats in lower case, at any length: tunnels have 4 or 16 bytes, some links none. */
export function formatMac(bytes: Uint8Array): string {
  const hex = bytes.toHex()
  let text = hex.slice(0, 2)
  for (let i = 2; i < hex.length; i += 2) text += `:${hex.slice(i, i + 2)}`
  return text
}
