/** Finds the servers that tell this host how it is seen: members by their endpoints, others by name. */

import { lookup } from 'node:dns/promises'
import { parseEndpoint } from '../../links/tls.ts'
import { endpointOf, hostOf } from './endpoints.ts'

/** @param server `stun.example:3478`. @returns `192.0.2.1:3478` and `[2001:db8::1]:3478` */
export async function lookUp(server: string): Promise<string[]> {
  const place = parseEndpoint(server)
  if (place === undefined) return []
  const found = await lookup(place.host, { all: true })
  return found.flatMap(({ address }) => endpointOf(address, place.port) ?? [])
}

/**
 * Of each member the first address of each family. They announce them for TCP, and UDP has the same port number unless
 * a person chose another one; then that member does not answer.
 */
export function stunServersOf(members: readonly (readonly string[])[]): string[] {
  return members.flatMap((endpoints) => {
    const addresses = endpoints.map((e) => e.toLowerCase()).filter((e) => hostOf(e) !== undefined)
    const v4 = addresses.find((endpoint) => !endpoint.startsWith('['))
    const v6 = addresses.find((endpoint) => endpoint.startsWith('['))
    return [v4, v6].filter((endpoint) => endpoint !== undefined)
  })
}
