/** Endpoints as text, e.g. `192.0.2.1:7443` or `[2001:db8::1]:7443`, and as bytes. Pure. */
import { isIPv6 } from 'node:net'
import { formatIpv4, ipv4Bytes, ipv4FromBytes, parseIpv4 } from '../../../../core/addr.ts'

export interface ParsedEndpoint {
  /** 4 or 16 bytes, network order. */
  readonly ip: Uint8Array
  readonly port: number
}

const IPV4_HEADERS = 28
const IPV6_HEADERS = 48

/** How many bytes of a path MTU the IP and UDP headers take. */
export const headersOf = (endpoint: string): number =>
  endpoint.startsWith('[') ? IPV6_HEADERS : IPV4_HEADERS

/** Each answer names the address that its probe came from, nearly always the same one: a cache saves the parsing. */
const MOST_KNOWN = 1_024
const known = new Map<string, ParsedEndpoint>()

/** @returns undefined: not an endpoint; a zone (`%3`) is left out */
export function parseEndpoint(text: string): ParsedEndpoint | undefined {
  const before = known.get(text)
  if (before !== undefined) return before
  const parsed = parse(text)
  if (parsed === undefined) return undefined
  if (known.size >= MOST_KNOWN) known.clear()
  known.set(text, parsed)
  return parsed
}

function parse(text: string): ParsedEndpoint | undefined {
  const [, v6, v4, portText] = /^(?:\[([0-9a-f:.]+)(?:%\d+)?\]|([0-9.]+)):(\d{1,5})$/i.exec(text) ?? []
  const port = Number(portText)
  if (!(port >= 1 && port <= 65_535)) return undefined
  if (v4 !== undefined) {
    const ip = parseIpv4(v4)
    return ip === undefined ? undefined : { ip: ipv4Bytes(ip), port }
  }
  return v6 !== undefined && isIPv6(v6) ? { ip: ipv6Bytes(v6), port } : undefined
}

/** `[fe80::1%3]:7443` without the interface, which means nothing to the peer. */
export const withoutZone = (endpoint: string): string => endpoint.replace(/%[^\]]*/, '')

/** @param bytes 4 or 16 */
export function ipBytes(bytes: Uint8Array): string {
  if (bytes.byteLength === 4) return formatIpv4(ipv4FromBytes(bytes))
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  // RFC 5952: the longest run of two or more zero groups becomes `::`.
  let [from, length] = [0, 1]
  for (let i = 0; i < 8; i++) {
    let n = 0
    while (i + n < 8 && groups[i + n] === 0) n++
    if (n > length) [from, length] = [i, n]
  }
  const hex = groups.map((group) => group.toString(16))
  if (length === 1) return hex.join(':')
  return `${hex.slice(0, from).join(':')}::${hex.slice(from + length).join(':')}`
}

/** @param text must pass `isIPv6` */
function ipv6Bytes(text: string): Uint8Array {
  const [head = '', tail] = text.replace(/[0-9.]+\.[0-9.]+$/, dottedAsHex).split('::')
  const front = head === '' ? [] : head.split(':')
  const back = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle: string[] = tail === undefined ? [] : Array(8 - front.length - back.length).fill('0')
  const bytes = new Uint8Array(16)
  for (const [i, group] of [...front, ...middle, ...back].entries())
    new DataView(bytes.buffer).setUint16(2 * i, Number.parseInt(group, 16))
  return bytes
}

function dottedAsHex(dotted: string): string {
  const ip = parseIpv4(dotted) ?? 0
  return `${(ip >>> 16).toString(16)}:${(ip & 0xffff).toString(16)}`
}

/** A network of this host's own interfaces. */
export interface Network {
  readonly address: Uint8Array
  readonly prefixLen: number
}

/** Whether the endpoint is in one of the networks, so that no router is needed to reach it. */
export function isInNetworks(networks: readonly Network[], endpoint: string): boolean {
  const parsed = parseEndpoint(endpoint)
  return parsed !== undefined && networks.some((network) => isIn(network, parsed.ip))
}

function isIn({ address, prefixLen }: Network, ip: Uint8Array): boolean {
  if (address.byteLength !== ip.byteLength) return false
  for (let i = 0, bits = prefixLen; bits > 0; i++, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff
    if (((address[i] ?? 0) & mask) !== ((ip[i] ?? 0) & mask)) return false
  }
  return true
}

/** The address without its port, whichever way it is written; text that is no endpoint stays. */
export const hostOf = (endpoint: string): string => {
  const parsed = parseEndpoint(endpoint)
  return parsed === undefined ? endpoint : parsed.ip.toHex()
}
