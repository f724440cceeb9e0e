/** Addresses of one block as texts: they differ in the last octet only, which is cheaper to read than an address. */
import { formatIpv4, type Ipv4, octetOf, parseIpv4 } from '../core/addr.ts'

let lastBase: Ipv4 | undefined
let lastStem = ''

/** `10.100.1.0` → `10.100.1.`. The last answer is kept: it is asked for a block at a time. */
function stemOf(base: Ipv4): string {
  if (base !== lastBase) {
    lastStem = formatIpv4(base).slice(0, -1)
    lastBase = base
  }
  return lastStem
}

/** The last octet of a canonical address of the block at `base`; undefined for anything else. */
export function octetIn(base: Ipv4, text: string): number | undefined {
  const stem = stemOf(base)
  return text.startsWith(stem) ? octetOf(text.slice(stem.length)) : undefined
}

/** Addresses inside the store were checked when they were read. @throws {TypeError} */
export function ipv4(text: string): Ipv4 {
  const ip = parseIpv4(text)
  if (ip === undefined) throw new TypeError(`not an IPv4 address: ${text}`)
  return ip
}
