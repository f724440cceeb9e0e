/** Which names and addresses the cluster's CA for browsers certifies: those that no one owns in public. Pure. */

import { BlockList, isIP } from 'node:net'

/**
 * A person who imports the CA trusts it for every site, so no gateway, nor one that was taken over, may get a
 * certificate for a site of others. RFC 6761, 6762, 8375, 9476; ICANN keeps `internal`, `corp` and `home` out of the
 * public DNS.
 */
const PRIVATE_SUFFIX = /(?:^|\.)(?:local|localhost|lan|internal|home|corp|test|flatnet|home\.arpa)$/

/** RFC 1123, and the underscore that containers have in their names. */
const NAME =
  /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

const PRIVATE = new BlockList()
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  PRIVATE.addSubnet(network, bits, 'ipv4')
PRIVATE.addSubnet('fc00::', 7, 'ipv6')
PRIVATE.addSubnet('fe80::', 10, 'ipv6')
PRIVATE.addAddress('::1', 'ipv6')

/**
 * @param name lower case, or an address
 * @param domains `ingress.domains`: the operator vouches for these, `*.corp.example` or a whole name
 */
export function isCertifiable(name: string, domains: readonly string[]): boolean {
  const version = isIP(name)
  if (version !== 0) return PRIVATE.check(name, version === 4 ? 'ipv4' : 'ipv6')
  if (!NAME.test(name) || /^[\d.]+$/.test(name)) return false
  if (!name.includes('.') || PRIVATE_SUFFIX.test(name)) return true
  return domains.some((d) =>
    d.startsWith('*.') ? name.endsWith(d.slice(1).toLowerCase()) : name === d.toLowerCase(),
  )
}
