/** Endpoints of UDP as text, e.g. `192.0.2.1:7443` or `[2001:db8::1]:7443`: their form, and where they lead. Pure. */

import { isIPv4, isIPv6 } from 'node:net'
import { contains, type Prefix4, parseIpv4, parsePrefix4 } from '../../../core/addr.ts'

/** The tier of UDP to an address that is known without a hub. */
export const familyOf = (address: string): 'ipv4' | 'ipv6' => (address.startsWith('[') ? 'ipv6' : 'ipv4')

/** `192.0.2.1:7443` or `[2001:db8::1]:7443`. */
export function isEndpoint(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 56) return false
  const [, v6, v4, port] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):([1-9]\d{0,4})$/.exec(value) ?? []
  return Number(port) <= 65_535 && (v6 === undefined ? isIPv4(v4 ?? '') : isIPv6(v6))
}

/** @param address as a socket names it: `::ffff:192.0.2.1` is IPv4, `fe80::1%eth0` means nothing on other machines */
export function endpointOf(address: string, port: number): string | undefined {
  const plain = address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '')
  if (port < 1 || plain.startsWith('fe80:') || plain.includes('%')) return undefined
  if (isIPv4(plain)) return `${plain}:${port}`
  return isIPv6(plain) ? `[${plain}]:${port}` : undefined
}

/** The IP address of a TCP endpoint. @returns undefined for a host name: nothing is looked up here */
export function hostOf(endpoint: string): string | undefined {
  const [, v6, host] = /^(?:\[(.+)\]|(.+)):\d+$/.exec(endpoint) ?? []
  const address = v6 ?? host
  return address !== undefined && (isIPv4(address) || isIPv6(address)) ? address : undefined
}

const networksOf = (texts: readonly string[]): Prefix4[] =>
  texts.map(parsePrefix4).filter((network) => network !== undefined)
/** This network, loopback, link-local, multicast, reserved and broadcast (RFC 6890). */
const NO_HOST = networksOf(['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'])
/** RFC 1918, and what carriers use before their NATs (RFC 6598). */
const PRIVATE = networksOf(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'])
const isIn = (networks: readonly Prefix4[], ip: number): boolean =>
  networks.some((network) => contains(network, ip))

export const isGlobalV6 = (host: string): boolean => /^[23][0-9a-f]{3}:/.test(host)
/** fc00::/7, RFC 4193. */
const isUniqueLocal = (host: string): boolean => /^f[cd][0-9a-f]{2}:/.test(host)

/**
 * Whether a host may be there. An address of the overlay would lead a direct path through the tunnel that it is to
 * replace (netbird#3924).
 */
export function mayBeHost(endpoint: string, overlay: Prefix4): boolean {
  const host = hostOf(endpoint)
  if (host === undefined) return false
  const ip = parseIpv4(host)
  if (ip === undefined) return isGlobalV6(host) || isUniqueLocal(host)
  return !isIn(NO_HOST, ip) && !contains(overlay, ip)
}

/** Whether others see an address of a NAT when this host sends there, and not one of its own interfaces. */
export function isPublic(endpoint: string): boolean {
  const host = hostOf(endpoint) ?? ''
  const ip = parseIpv4(host)
  return ip === undefined ? isGlobalV6(host) : !isIn(PRIVATE, ip)
}
