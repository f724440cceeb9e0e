/** Which client an address belongs to, where clients have shares: IPv6 is counted per /64. */

import { formatIpv4 } from '../../core/addr.ts'
import { mappedIpv4, parseIpv6 } from '../../core/addr6.ts'

/** Groups of a /64: one machine has all addresses of such a network at hand (RFC 8981 has it change them daily). */
const NETWORK_GROUPS = 4

/**
 * Pure.
 * @param address as a socket has it; undefined: its connection has ended already
 */
export function clientOf(address: string | undefined): string {
  if (address === undefined || !address.includes(':')) return address ?? ''
  const [plain = ''] = address.split('%')
  const groups = parseIpv6(plain)
  if (groups === undefined) return address
  const ipv4 = mappedIpv4(groups)
  if (ipv4 !== undefined) return formatIpv4(ipv4)
  const network = groups.slice(0, NETWORK_GROUPS)
  return `${network.map((group) => group.toString(16)).join(':')}::/64`
}
