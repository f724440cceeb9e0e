/**
 * Addresses of UDP sockets: `192.0.2.1:7443` and `[2001:db8::1]:7443` to `struct sockaddr_in` or `_in6` and back. Pure.
 */

import { formatIpv4, ipv4FromBytes, octetOf, parseIpv4 } from '../core/addr.ts'

export const AF_INET = 2
export const AF_INET6 = 10
export type UdpFamily = typeof AF_INET | typeof AF_INET6

/**
 * struct sockaddr_in: family u16, port u16 (network order), address, zeroes. struct sockaddr_in6: …, flowinfo, address,
 * scope.
 */
const IN_BYTES = 16
const IN6_BYTES = 28
export const sockaddrBytes = (family: UdpFamily): number => (family === AF_INET ? IN_BYTES : IN6_BYTES)
const IN_ADDRESS = 4
const IN6_ADDRESS = 8
const IN6_SCOPE = 24
/** ::ffff:0:0/96, RFC 4291 2.5.5.2: how a socket for both families names an IPv4 address. */
const MAPPED = 10

/** An address and a port; `ip` is 4 or 16 bytes. */
interface Parsed {
  readonly ip: Uint8Array
  readonly port: number
  /** Index of the interface, for link-local addresses; else 0. */
  readonly scope: number
}

/** @returns undefined for anything that is not exactly of one of the two forms, port 0 included */
function parse(endpoint: string): Parsed | undefined {
  const colon = endpoint.lastIndexOf(':')
  const port = portOf(endpoint.slice(colon + 1))
  if (colon < 0 || port === undefined) return undefined
  const host = endpoint.slice(0, colon)
  if (!host.startsWith('[')) {
    const ip = parseIpv4(host)
    if (ip === undefined) return undefined
    return { ip: Uint8Array.of(ip >>> 24, ip >>> 16, ip >>> 8, ip), port, scope: 0 }
  }
  if (!host.endsWith(']')) return undefined
  const [text = '', zone] = host.slice(1, -1).split('%')
  const ip = parseIpv6(text)
  const scope = zone === undefined ? 0 : /^[1-9]\d{0,8}$/.test(zone) ? Number(zone) : -1
  return ip === undefined || scope < 0 ? undefined : { ip, port, scope }
}

const portOf = (text: string): number | undefined => {
  const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

/** RFC 4291 2.2, also with an IPv4 address at the end. */
function parseIpv6(text: string): Uint8Array | undefined {
  const [head = '', tail, more] = text.split('::')
  if (more !== undefined) return undefined
  const before = groups(head, tail === undefined)
  const after = tail === undefined ? [] : groups(tail, true)
  if (before === undefined || after === undefined) return undefined
  const missing = 16 - before.length - after.length
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined
  return Uint8Array.from([...before, ...new Array<number>(missing).fill(0), ...after])
}

/** @param isEnd an IPv4 address may be its last part */
function groups(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      const value = Number.parseInt(part, 16)
      bytes.push(value >> 8, value & 255)
    } else if (isEnd && i === parts.length - 1 && part.includes('.')) {
      const octets = part.split('.').map(octetOf)
      if (octets.length !== 4 || octets.includes(undefined)) return undefined
      bytes.push(...(octets as number[]))
    } else return undefined
  }
  return bytes
}

/** Whether a socket of this family can send there: one of IPv6 takes both. */
export function canReach(family: UdpFamily, endpoint: string): boolean {
  const parsed = parse(endpoint)
  return parsed !== undefined && (family === AF_INET6 || parsed.ip.byteLength === 4)
}

/**
 * Writes it as a socket of `family` takes it.
 * @param out at least `sockaddrBytes(family)`
 * @throws {RangeError} not an endpoint, or an IPv6 one for a socket of IPv4
 */
export function writeSockaddr(family: UdpFamily, endpoint: string, out: Uint8Array): void {
  const parsed = parse(endpoint)
  if (parsed === undefined) throw new RangeError(`${endpoint}: write 192.0.2.1:7443 or [2001:db8::1]:7443`)
  const { ip, port, scope } = parsed
  if (family === AF_INET && ip.byteLength !== 4) throw new RangeError(`${endpoint}: this host has no IPv6`)
  out.fill(0, 0, sockaddrBytes(family))
  out[0] = family
  out[2] = port >> 8
  out[3] = port
  if (family === AF_INET) out.set(ip, IN_ADDRESS)
  else if (ip.byteLength === 16) out.set(ip, IN6_ADDRESS)
  else out.set([255, 255, ...ip], IN6_ADDRESS + MAPPED)
  // In host order, and only little-endian machines have a UDP path.
  if (family === AF_INET6) for (let i = 0; i < 4; i++) out[IN6_SCOPE + i] = scope >>> (8 * i)
}

/** The canonical text of what the kernel wrote; a mapped address as IPv4. RFC 5952. */
export function readSockaddr(bytes: Uint8Array): string {
  const port = (bytes[2]! << 8) | bytes[3]!
  if (bytes[0] === AF_INET)
    return `${formatIpv4(ipv4FromBytes(bytes.subarray(IN_ADDRESS, IN_BYTES)))}:${port}`
  const ip = bytes.subarray(IN6_ADDRESS, IN6_SCOPE)
  if (isMapped(ip)) return `${formatIpv4(ipv4FromBytes(ip.subarray(MAPPED + 2)))}:${port}`
  let scope = 0
  for (let i = 3; i >= 0; i--) scope = scope * 256 + bytes[IN6_SCOPE + i]!
  return `[${formatIpv6(ip)}${scope === 0 ? '' : `%${scope}`}]:${port}`
}

const isMapped = (ip: Uint8Array): boolean =>
  ip[MAPPED] === 255 && ip[MAPPED + 1] === 255 && ip.subarray(0, MAPPED).every((byte) => byte === 0)

function formatIpv6(ip: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => ((ip[2 * i]! << 8) | ip[2 * i + 1]!).toString(16))
  // The longest run of two or more zeroes, the first of equals.
  let [from, length] = [0, 1]
  for (let i = 0; i < 8; i++) {
    let n = 0
    while (words[i + n] === '0') n++
    if (n > length) [from, length] = [i, n]
  }
  if (length < 2) return words.join(':')
  return `${words.slice(0, from).join(':')}::${words.slice(from + length).join(':')}`
}
