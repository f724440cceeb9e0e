/** Link-layer addresses as text and as bytes. */

/** @param text six pairs of hex digits, e.g. `0a:64:0a:64:01:0a` @throws {RangeError} anything else */
export function macBytes(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(text))
    throw new RangeError(`not a MAC address: ${JSON.stringify(text)}`)
  return Uint8Array.from(text.split(':'), (pair) => Number.parseInt(pair, 16))
}

/** Lower case, of any length: tunnels have 4 or 16 bytes, some links none. */
export const formatMac = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':')
