/** Where the members of the cluster listen, as this host's files say: for rules that outlive the gateway. */

import { contains, type Prefix4, parseIpv4, parsePrefix4 } from '../../../core/addr.ts'
import type { HostPort } from '../../../core/endpoint.ts'
import { isObject } from '../../../core/json.ts'
import { parseEndpoint } from '../../links/tls.ts'
import type { ClusterFiles } from '../identity/files.ts'
import { unseal } from './document.ts'
import { EndpointBook } from './endpoints.ts'

/** This host's own are among them: containers of other hosts come to them as well. */
export function memberEndpoints(files: ClusterFiles): HostPort[] {
  const sealed: unknown = JSON.parse(files.read('members') ?? 'null')
  if (!isObject(sealed)) return []
  const { members, supernet } = unseal(sealed, files.read('caPem') ?? '')
  const admitted = members.filter(({ state }) => state === 'active').flatMap(({ endpoints }) => endpoints)
  const announced = new EndpointBook(files).all().flatMap(({ endpoints }) => endpoints)
  return endpointsToRefuse({ supernet: parsePrefix4(supernet), admitted, announced })
}

/**
 * No container reaches these. So a member that is taken over must not name what containers live by: nothing of the
 * supernet, and no port that no member was admitted with.
 * @param said endpoints: `admitted` are those of the signed list of members, `announced` what members say since
 */
export function endpointsToRefuse(said: {
  readonly supernet: Prefix4 | undefined
  readonly admitted: readonly string[]
  readonly announced: readonly string[]
}): HostPort[] {
  const { supernet, admitted, announced } = said
  const isOutside = ({ host }: HostPort): boolean => {
    const ip = parseIpv4(host)
    return ip === undefined || supernet === undefined || !contains(supernet, ip)
  }
  const known = admitted.flatMap((endpoint) => parseEndpoint(endpoint) ?? [])
  const ports = new Set(known.map(({ port }) => port))
  const news = announced
    .filter((endpoint) => !admitted.includes(endpoint))
    .flatMap((endpoint) => parseEndpoint(endpoint) ?? [])
    .filter(({ port }) => ports.has(port))
  return [...known, ...news].filter(isOutside)
}
