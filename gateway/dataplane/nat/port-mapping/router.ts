/** Asks the router for a mapping by all protocols at once, and takes the one that is preferred. */

import type { PortMappingProtocol } from '../../../../conf/port-mapping.ts'
import { CLIENTS } from './clients.ts'
import { faultIn, getMapping, NO_MAPPING, refusalOf, soapRequest, targetIn } from './igd.ts'
import { askHttp } from './igd-http.ts'
import { decodeEpoch, encodeAddressRequest } from './nat-pmp.ts'
import { decodePcpEpoch, encodePcpAnnounce } from './pcp.ts'
import { NOT_SPOKEN, refusalBy } from './refusal.ts'
import { askRouter } from './router-socket.ts'
import type { Answer, MappedByUpnp, MappingRequest, Refusal, RouterPlace } from './types.ts'

export const PROTOCOL_NAMES: Readonly<Record<PortMappingProtocol, string>> = {
  pcp: 'PCP',
  'nat-pmp': 'NAT-PMP',
  upnp: 'UPnP',
}

/** By PCP or NAT-PMP. @returns seconds since the router lost its mappings */
export async function askEpoch(
  protocol: PortMappingProtocol,
  place: RouterPlace,
  signal: AbortSignal,
): Promise<{ readonly seconds: number } | Refusal> {
  if (protocol === 'upnp') return { refused: 'UPnP does not say' }
  return protocol === 'pcp'
    ? askRouter(place, encodePcpAnnounce(place.ownAddress), decodePcpEpoch, signal)
    : askRouter(place, encodeAddressRequest(), decodeEpoch, signal)
}

/** By UPnP, one request. A router that was started anew often has its service at another port. */
export async function isMapped(
  place: RouterPlace,
  { service, port, externalPort }: MappedByUpnp,
  signal: AbortSignal,
): Promise<{ readonly isThere: boolean } | Refusal> {
  const order = soapRequest(service, getMapping(externalPort))
  const answer = await askHttp(service.controlUrl, place, signal, order)
  if ('refused' in answer) return answer === NOT_SPOKEN ? { isThere: false } : answer
  if (answer.status === 200) return { isThere: targetIn(answer.text) === `${place.ownAddress}:${port}` }
  const code = faultIn(answer.text)
  return code === NO_MAPPING || answer.status === 404 ? { isThere: false } : refusalOf(code)
}

/**
 * All are sought at once, so that a router with UPnP alone is found in 1 s and not after the 3 s of each of the others;
 * mappings are asked for one after the other, so that only one is made. With PCP the search is the request.
 */
export async function askForMapping(
  protocols: readonly PortMappingProtocol[],
  place: RouterPlace,
  request: MappingRequest,
  signal: AbortSignal,
): Promise<Answer> {
  const rest = new AbortController()
  const both = AbortSignal.any([signal, rest.signal])
  const searches = protocols.map((protocol) => ({
    protocol,
    found: CLIENTS[protocol].find(place, request, both).catch(refusalBy),
  }))
  const refusals: string[] = []
  let isDenied = false
  try {
    for (const { protocol, found } of searches) {
      const client = await found
      const answer = 'refused' in client ? client : await client.ask(request).catch(refusalBy)
      if ('granted' in answer) return answer
      refusals.push(`${PROTOCOL_NAMES[protocol]}: ${answer.refused}`)
      isDenied ||= answer.isDenied === true
    }
    return { refused: refusals.join(', '), isDenied }
  } finally {
    rest.abort()
  }
}
