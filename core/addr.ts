/** Address arithmetic of the hot path: parsing, printing and containment, IPv4 as an unsigned 32-bit number. */

/** An IPv4 address as a number 0..2^32-1, e.g. 0x0a640101 for 10.100.1.1. */
export type Ipv4 = number

export interface Prefix4 {
  /** First address; host bits are zero. */
  readonly base: Ipv4
  readonly prefixLen: number
}

const OCTET = /^(?:0|[1-9]\d{0,2})$/

/** Dotted decimal without leading zeros (`010.1.1.1` is refused: some libraries read it as octal). */
export function parseIpv4(text: string): Ipv4 | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let value = 0
  for (const part of parts) {
    if (!OCTET.test(part) || Number(part) > 255) return undefined
    value = value * 256 + Number(part)
  }
  return value
}

export function formatIpv4(ip: Ipv4): string {
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`
}

export function ipv4Bytes(ip: Ipv4): Uint8Array {
  return Uint8Array.of(ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255)
}

/** `bytes` of length 4, network order. */
export function ipv4FromBytes(bytes: Uint8Array): Ipv4 {
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
}

/** Number of addresses in a prefix, as a float: a shift would overflow at /0. */
export const sizeOf = (prefixLen: number): number => 2 ** (32 - prefixLen)

export const prefixBase = (ip: Ipv4, prefixLen: number): Ipv4 => ip - (ip % sizeOf(prefixLen))

export function contains(prefix: Prefix4, ip: Ipv4): boolean {
  return ip >= prefix.base && ip < prefix.base + sizeOf(prefix.prefixLen)
}

export function overlaps(a: Prefix4, b: Prefix4): boolean {
  return contains(a, b.base) || contains(b, a.base)
}

export const formatPrefix = (p: Prefix4): string => `${formatIpv4(p.base)}/${p.prefixLen}`

/** `10.100.1.10/24` → the address and its prefix length; host bits allowed. */
export function parseCidr4(text: string): { ip: Ipv4; prefixLen: number } | undefined {
  const slash = text.indexOf('/')
  const len = text.slice(slash + 1)
  if (slash < 0 || !/^(?:\d|[12]\d|3[0-2])$/.test(len)) return undefined
  const ip = parseIpv4(text.slice(0, slash))
  return ip === undefined ? undefined : { ip, prefixLen: Number(len) }
}

/** `10.100.0.0/16`; refuses host bits, so that a typed host address is not read as its network. */
export function parsePrefix4(text: string): Prefix4 | undefined {
  const cidr = parseCidr4(text)
  if (cidr === undefined || prefixBase(cidr.ip, cidr.prefixLen) !== cidr.ip) return undefined
  return { base: cidr.ip, prefixLen: cidr.prefixLen }
}

/** Canonical lower-case `aa:bb:cc:dd:ee:ff`, from `:` or `-` separated hex; undefined when it is not a MAC. */
export function parseMac(text: string): string | undefined {
  return /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text) ? text.toLowerCase().replaceAll('-', ':') : undefined
}

/** The group bit: a multicast or broadcast MAC cannot be the address of an interface (kernel: EADDRNOTAVAIL). */
export const isUnicastMac = (mac: string): boolean =>
  (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && mac !== '00:00:00:00:00:00'

/**
 * The MAC of a container, derived from its address: `0a:64` (locally administered) then the four address bytes.
 * A neighbour that still holds the ARP entry of an earlier owner of the address therefore holds the right one.
 */
export function macOf(ip: Ipv4): string {
  const hex = ip.toString(16).padStart(8, '0')
  return `0a:64:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}:${hex.slice(6, 8)}`
}
