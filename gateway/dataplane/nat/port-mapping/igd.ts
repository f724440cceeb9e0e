/** The words of UPnP's Internet Gateway Device, versions 1 and 2: search, description, orders and answers. Pure. */

import { parseIpv4 } from '../../../../core/addr.ts'
import type { Refusal } from './types.ts'
import { contentsOf, escapeXml, textOf } from './xml.ts'

/** The service that maps ports: IGD 1 has it by IP or PPP, IGD 2 answers to 1's orders as well. */
const SERVICE_RE = /^urn:schemas-upnp-org:service:WAN(?:IP|PPP)Connection:[12]$/
const MAX_URL = 512

/** Devices of version 2 answer to a search for version 1 (UPnP Device Architecture 1.1, 1.3.2). */
export const SEARCH = Buffer.from(
  [
    'M-SEARCH * HTTP/1.1',
    'HOST: 239.255.255.250:1900',
    'MAN: "ssdp:discover"',
    'MX: 1',
    'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1',
    '',
    '',
  ].join('\r\n'),
)

/**
 * Where the description is, of an answer to SEARCH.
 * @param gateway the only host that is asked for it: an answer that names another one would have this host send
 *   requests of the answerer's choice there
 * @returns undefined: no answer to a search; `''`: it names another host, or no URL
 */
export function locationIn(answer: string, gateway: string): string | undefined {
  if (!/^HTTP\/1\.[01] 200\b/.test(answer)) return undefined
  const [, text = ''] = /^location:[ \t]*(\S{1,512})[ \t]*\r?$/im.exec(answer.slice(0, 2_048)) ?? []
  return isAt(text, gateway) ? text : ''
}

export interface MappingService {
  readonly type: string
  /** Absolute, on the gateway's own address. */
  readonly controlUrl: string
}

/**
 * @param base where the description came from
 * @returns undefined: no service that maps ports, or all of them are said to be at another host
 */
export function serviceIn(description: string, base: string, gateway: string): MappingService | undefined {
  const urlBase = textOf(description, 'URLBase')
  for (const service of contentsOf(description, 'service')) {
    const type = textOf(service, 'serviceType')
    const control = textOf(service, 'controlURL')
    if (type === undefined || control === undefined || !SERVICE_RE.test(type)) continue
    const controlUrl = resolved(control, urlBase ?? '', base)
    if (isAt(controlUrl, gateway)) return { type, controlUrl }
  }
  return undefined
}

function resolved(url: string, urlBase: string, base: string): string {
  try {
    return new URL(url, new URL(urlBase, base)).href
  } catch {
    // No URL at all: no host is asked.
    return ''
  }
}

/** http alone, to the gateway's address, written as an address: no name is looked up. */
function isAt(url: string, gateway: string): boolean {
  if (url.length > MAX_URL || !URL.canParse(url)) return false
  const { hostname, protocol, username, password } = new URL(url)
  return protocol === 'http:' && hostname === gateway && username === '' && password === ''
}

export interface UpnpMapping {
  readonly port: number
  readonly externalPort: number
  readonly ownAddress: string
  /** Seconds; 0: until it is deleted. */
  readonly lifetimeS: number
  /** What the router's page shows. */
  readonly description: string
}

type Order = readonly [action: string, args: Readonly<Record<string, string | number>>]

/** What a router knows a mapping by. */
const named = (externalPort: number) =>
  ({ NewRemoteHost: '', NewExternalPort: externalPort, NewProtocol: 'UDP' }) as const

/** Once more with the same ports renews it. */
export const addMapping = (mapping: UpnpMapping): Order => [
  'AddPortMapping',
  {
    ...named(mapping.externalPort),
    NewInternalPort: mapping.port,
    NewInternalClient: mapping.ownAddress,
    NewEnabled: 1,
    NewPortMappingDescription: mapping.description,
    NewLeaseDuration: mapping.lifetimeS,
  },
]

export const deleteMapping = (externalPort: number): Order => ['DeletePortMapping', named(externalPort)]

export const getMapping = (externalPort: number): Order => [
  'GetSpecificPortMappingEntry',
  named(externalPort),
]

/** Where the mapping leads that the answer tells of, `192.168.1.2:7443`. */
export const targetIn = (answer: string): string =>
  `${textOf(answer, 'NewInternalClient')}:${textOf(answer, 'NewInternalPort')}`

export const externalAddress: Order = ['GetExternalIPAddress', {}]

export interface SoapRequest {
  readonly soapAction: string
  readonly body: string
}

export function soapRequest({ type }: MappingService, [action, args]: Order): SoapRequest {
  const fields = Object.entries(args).map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`)
  return {
    soapAction: `"${type}#${action}"`,
    body:
      '<?xml version="1.0"?>\r\n' +
      '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
      's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">' +
      `<s:Body><u:${action} xmlns:u="${type}">${fields.join('')}</u:${action}></s:Body></s:Envelope>\r\n`,
  }
}

/** @returns undefined: no IPv4 address is in the answer */
export function addressIn(answer: string): string | undefined {
  const text = textOf(answer, 'NewExternalIPAddress') ?? ''
  return parseIpv4(text) === undefined ? undefined : text
}

/** UPnP's codes that lead to another order; WANIPConnection:2, 2.5.16. */
export const NO_MAPPING = 714
export const CONFLICT = 718
export const ONLY_PERMANENT = 725
const ERRORS: Readonly<Record<number, string>> = {
  402: 'malformed order',
  501: 'it failed',
  606: 'not allowed',
  718: 'another host has the port',
  725: 'no mapping has an end there',
  728: 'no mappings left',
  729: 'the router has the port',
}

/** @returns the number of a fault; undefined: none is in the answer */
export function faultIn(answer: string): number | undefined {
  const text = textOf(answer, 'errorCode') ?? ''
  return /^\d{1,4}$/.test(text) ? Number(text) : undefined
}

export const refusalOf = (code: number | undefined): Refusal =>
  code === undefined
    ? { refused: 'nonsense for an answer' }
    : { refused: ERRORS[code] ?? `error ${code}`, isDenied: true }
