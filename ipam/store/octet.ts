/** Addresses of one block as texts: only their last octet differs, so only that is read. */

import { formatIpv4, type Ipv4, octetOf, parseIpv4 } from '../../core/addr.ts'
import { BLOCK_SIZE, headOf } from './layout.ts'

let lastHead: Ipv4 | undefined
let lastStem = ''

/** `10.100.1.0` → `10.100.1.`. The last answer is kept, as calls come for one block at a time. */
function stemOf(head: Ipv4): string {
  if (head !== lastHead) {
    lastStem = formatIpv4(head).slice(0, -1)
    lastHead = head
  }
  return lastStem
}

/** A canonical address of the block at `base`; undefined for anything else. */
export function ipIn(base: Ipv4, text: string, size: number = BLOCK_SIZE): Ipv4 | undefined {
  const stem = stemOf(headOf(base))
  const octet = text.startsWith(stem) ? octetOf(text.slice(stem.length)) : undefined
  if (octet === undefined) return undefined
  const ip = headOf(base) + octet
  return ip >= base && ip < base + size ? ip : undefined
}

/** Addresses inside the store were checked when they were read. @throws {TypeError} */
export function ipv4(text: string): Ipv4 {
  const ip = parseIpv4(text)
  if (ip === undefined) throw new TypeError(`not an IPv4 address: ${text}`)
  return ip
}
