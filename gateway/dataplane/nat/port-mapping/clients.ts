/** The three protocols by which a router is asked for a mapping, behind one contract. */

import { randomInt } from 'node:crypto'
import type { PortMappingProtocol } from '../../../../conf/port-mapping.ts'
import {
  addMapping,
  addressIn,
  CONFLICT,
  deleteMapping,
  externalAddress,
  faultIn,
  type MappingService,
  ONLY_PERMANENT,
  refusalOf,
  serviceIn,
  soapRequest,
} from './igd.ts'
import { askHttp, type HttpAnswer } from './igd-http.ts'
import { decodeAddress, decodeMapping, encodeAddressRequest, encodeMapRequest } from './nat-pmp.ts'
import { decodePcpMap, encodePcpMap } from './pcp.ts'
import { askRouter } from './router-socket.ts'
import { findDescription } from './ssdp.ts'
import type { Answer, Found, MappingClient, MappingRequest, RouterPlace } from './types.ts'

/** PCP has no request but the one for a mapping that all routers answer. */
const pcp: MappingClient = {
  protocol: 'pcp',
  async find(place, request, signal) {
    const first = await askPcp(place, request, signal)
    if ('refused' in first) return first
    let isFirst = true
    return {
      ask(again) {
        if (!isFirst) return askPcp(place, again, signal)
        isFirst = false
        return Promise.resolve(first)
      },
    }
  },
}

async function askPcp(place: RouterPlace, request: MappingRequest, signal: AbortSignal): Promise<Answer> {
  const bytes = encodePcpMap({ ...request, ownAddress: place.ownAddress })
  const answer = await askRouter(place, bytes, (given) => decodePcpMap(given, request), signal)
  if ('refused' in answer) return answer
  return { granted: { protocol: 'pcp', ...answer } }
}

const natPmp: MappingClient = {
  protocol: 'nat-pmp',
  async find(place, _request, signal) {
    const seen = await askRouter(place, encodeAddressRequest(), decodeAddress, signal)
    if ('refused' in seen) return seen
    return {
      async ask(request): Promise<Answer> {
        const bytes = encodeMapRequest(request)
        const answer = await askRouter(place, bytes, (given) => decodeMapping(given, request), signal)
        if ('refused' in answer) return answer
        const { externalPort, lifetimeS } = answer
        return { granted: { protocol: 'nat-pmp', external: `${seen.address}:${externalPort}`, lifetimeS } }
      },
    }
  },
}

const upnp: MappingClient = {
  protocol: 'upnp',
  async find(place, _request, signal): Promise<Found> {
    const found = await findDescription(place, signal)
    if ('refused' in found) return found
    const description = await askHttp(found.location, place, signal)
    if ('refused' in description) return description
    if (description.status !== 200) return { refused: `status ${description.status}` }
    const service = serviceIn(description.text, found.location, place.gateway)
    if (service === undefined) return { refused: 'no service that maps ports' }
    return { ask: (request) => askUpnp(new Igd(place, service, signal), request) }
  },
}

/** The router's service that maps ports. */
class Igd {
  readonly place: RouterPlace
  readonly #service: MappingService
  readonly #signal: AbortSignal

  constructor(place: RouterPlace, service: MappingService, signal: AbortSignal) {
    this.place = place
    this.#service = service
    this.#signal = signal
  }

  get service(): MappingService {
    return this.#service
  }

  async order(order: Parameters<typeof soapRequest>[1]): Promise<HttpAnswer> {
    return askHttp(this.#service.controlUrl, this.place, this.#signal, soapRequest(this.#service, order))
  }
}

/** What the router's page shows of the mapping. */
const DESCRIPTION = 'Flatnet'
/** Another host behind this router has the port: the next ones are tried, as every host wants the same one. */
const MAX_PORTS = 8
/** So many neighbours of the port are taken: then any port, or the ninth host behind a router would never have one. */
const MAX_NEIGHBOURS = 4
/** Of a mapping without an end: it is looked at as often as one of an hour. */
const PERMANENT_S = 3_600

async function askUpnp(igd: Igd, request: MappingRequest): Promise<Answer> {
  if (request.lifetimeS === 0) {
    const answer = await igd.order(deleteMapping(request.externalPort))
    if ('refused' in answer) return answer
    if (answer.status !== 200) return refusalOf(faultIn(answer.text))
    return { granted: { protocol: 'upnp', external: `0.0.0.0:${request.externalPort}`, lifetimeS: 0 } }
  }
  const seen = await igd.order(externalAddress)
  if ('refused' in seen) return seen
  const address = seen.status === 200 ? addressIn(seen.text) : undefined
  if (address === undefined) return { refused: 'no external address', isDenied: true }
  return addWithConflicts(igd, request, address)
}

const FIRST_PORT = 1_024
const after = (port: number): number => (port < 65_535 ? port + 1 : FIRST_PORT)
const anyPort = (): number => randomInt(FIRST_PORT, 65_536)

async function addWithConflicts(igd: Igd, request: MappingRequest, address: string): Promise<Answer> {
  let { externalPort, lifetimeS } = request
  let code: number | undefined
  for (let tries = 0; tries < MAX_PORTS; tries++) {
    const { ownAddress } = igd.place
    const mapping = { port: request.port, externalPort, ownAddress, lifetimeS, description: DESCRIPTION }
    if (lifetimeS === 0) request.willKeep?.(externalPort)
    const answer = await igd.order(addMapping(mapping))
    if ('refused' in answer) return answer
    if (answer.status === 200) {
      const { service } = igd
      const granted = { protocol: 'upnp', external: `${address}:${externalPort}`, service } as const
      return { granted: { ...granted, lifetimeS: lifetimeS === 0 ? PERMANENT_S : lifetimeS } }
    }
    code = faultIn(answer.text)
    if (code === CONFLICT) externalPort = tries < MAX_NEIGHBOURS ? after(externalPort) : anyPort()
    else if (code === ONLY_PERMANENT && lifetimeS !== 0) lifetimeS = 0
    else break
  }
  return refusalOf(code)
}

export const CLIENTS: Readonly<Record<PortMappingProtocol, MappingClient>> = {
  pcp,
  'nat-pmp': natPmp,
  upnp,
}
