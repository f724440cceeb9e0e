/**
 * What nft stores with objects for its own use: TLVs with a type and a length of one byte each.
 *
 * The kernel does not read it. @see libnftnl include/udata.h
 */

import { DecodeError } from '../errors.ts'

/** enum nftnl_udata_{table,set,set_elem}_types. */
export const NFTNL_UDATA_TABLE_COMMENT = 0
export const NFTNL_UDATA_SET_COMMENT = 7
export const NFTNL_UDATA_SET_ELEM_COMMENT = 0

/** @throws {RangeError} over 254 bytes; nft refuses to write more than 127 */
export function commentUserdata(type: number, comment: string): Uint8Array {
  const text = new TextEncoder().encode(`${comment}\0`)
  if (text.byteLength > 255) throw new RangeError(`comment of ${text.byteLength - 1} bytes; 254 fit`)
  return Uint8Array.of(type, text.byteLength, ...text)
}

/** @returns undefined when there is no comment among the userdata @throws {DecodeError} a length beyond the end */
export function commentFrom(type: number, userdata: Uint8Array | undefined): string | undefined {
  if (userdata === undefined) return undefined
  for (let at = 0; at + 2 <= userdata.byteLength; ) {
    const end = at + 2 + (userdata[at + 1] ?? 0)
    if (end > userdata.byteLength)
      throw new DecodeError('userdata', at, `${end - at} bytes in ${userdata.byteLength - at}`)
    if (userdata[at] === type) {
      const text = new TextDecoder().decode(userdata.subarray(at + 2, end))
      return text.endsWith('\0') ? text.slice(0, -1) : text
    }
    at = end
  }
  return undefined
}
