/** Where hosts can be reached: each host's own statement, signed, so that others may pass it on. */

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import type { LowSync } from 'lowdb'
import { contains, type Prefix4, parseIpv4 } from '../../../core/addr.ts'
import { formatEndpoint } from '../../../core/endpoint.ts'
import { isObject } from '../../../core/json.ts'
import type { Log } from '../../../core/log.ts'
import { keyIdOfSpki, parseEndpoint } from '../../links/tls.ts'
import type { Identity } from '../../links/types.ts'
import type { ClusterFiles } from '../identity/files.ts'

export interface EndpointRecord {
  readonly hostId: number
  /** Rises with each change; starts at the seconds of the clock, so that a lost file does not set it back. */
  readonly seq: number
  readonly endpoints: readonly string[]
  /** The public key (SPKI), base64url; its SHA-256 is the member's keyId. */
  readonly spki: string
  /** base64url */
  readonly signature: string
}

const PURPOSE = 'flatnet endpoints 1\n'
/** More addresses than a machine has that others could use. */
export const MAX_ENDPOINTS = 8

const signedText = (cluster: string, r: Pick<EndpointRecord, 'hostId' | 'seq' | 'endpoints'>): Buffer =>
  Buffer.from(PURPOSE + JSON.stringify([cluster, r.hostId, r.seq, r.endpoints]))

const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })

export function signEndpoints(identity: Identity, seq: number, endpoints: readonly string[]): EndpointRecord {
  const key = createPrivateKey(identity.keyPem)
  const record = { hostId: identity.hostId, seq, endpoints }
  return {
    ...record,
    spki: spkiOf(createPublicKey(key)).toString('base64url'),
    signature: sign(null, signedText(identity.cluster, record), key).toString('base64url'),
  }
}

export function isEndpointRecord(value: unknown): value is EndpointRecord {
  return (
    isObject(value) &&
    Number.isInteger(value['hostId']) &&
    Number.isSafeInteger(value['seq']) &&
    typeof value['spki'] === 'string' &&
    typeof value['signature'] === 'string' &&
    isEndpoints(value['endpoints'])
  )
}

export const isEndpoints = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.length <= MAX_ENDPOINTS &&
  value.every((e) => typeof e === 'string' && e.length < 256 && parseEndpoint(e) !== undefined)

/** Whether it was signed by the holder of the key that the member has. */
export function isSignedBy(record: EndpointRecord, cluster: string, keyId: string): boolean {
  const spki = Buffer.from(record.spki, 'base64url')
  if (keyIdOfSpki(spki) !== keyId) return false
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  return verify(null, signedText(cluster, record), key, Buffer.from(record.signature, 'base64url'))
}

/** The newest announcement of each host, kept over restarts. */
export class EndpointBook {
  readonly #db: LowSync<EndpointRecord[]>
  readonly #byHost: Map<number, EndpointRecord>

  constructor(files: ClusterFiles) {
    this.#db = files.database('endpoints', parseRecords, [])
    this.#db.read()
    this.#byHost = new Map(this.#db.data.map((r) => [r.hostId, r]))
  }

  get(hostId: number): EndpointRecord | undefined {
    return this.#byHost.get(hostId)
  }

  all(): EndpointRecord[] {
    return [...this.#byHost.values()]
  }

  /** The caller has checked the signature, and saves what is news. @returns whether it is */
  put(record: EndpointRecord): boolean {
    if ((this.#byHost.get(record.hostId)?.seq ?? -1) >= record.seq) return false
    this.#byHost.set(record.hostId, record)
    return true
  }

  /** Once for all that came together: each is a wait for the disk. One that is full costs the next start a question. */
  save(log: Pick<Log, 'warn'>): void {
    this.#db.data = this.all()
    try {
      this.#db.write()
    } catch (err) {
      log.warn({ err }, 'addresses of hosts could not be kept')
    }
  }
}

/** They can be asked for again: a torn file is none. */
function parseRecords(text: string): EndpointRecord[] {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value.filter(isEndpointRecord) : []
  } catch {
    return []
  }
}

export interface EndpointOptions {
  readonly listen: { readonly host: string; readonly port: number }
  /** Configured; takes the place of everything that is found here. */
  readonly advertise: readonly string[]
  readonly supernet: Prefix4
  /** A device that needs the network between hosts itself: a link through it would only seem to be another way. */
  readonly without?: string | undefined
}

/**
 * What others should dial: as configured, else the listening address, else the addresses of this machine's interfaces,
 * IPv4 first; without loopback, link-local, and those of containers.
 */
export function ownEndpoints(
  { listen, advertise, supernet, without }: EndpointOptions,
  interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): string[] {
  if (advertise.length > 0) return advertise.slice(0, MAX_ENDPOINTS)
  if (listen.host !== '0.0.0.0' && listen.host !== '::') return [formatEndpoint(listen.host, listen.port)]
  const addresses = Object.entries(interfaces).flatMap(([name, list = []]) =>
    CONTAINER_BRIDGES.test(name) || name === without ? [] : list.filter((a) => !a.internal),
  )
  const usable = addresses.filter(({ family, address }) => {
    if (family === 'IPv6') return listen.host === '::' && !address.startsWith('fe80:')
    const ip = parseIpv4(address)
    return ip !== undefined && !contains(supernet, ip) && !address.startsWith('169.254.')
  })
  return usable
    .sort((a, b) => (a.family === b.family ? 0 : a.family === 'IPv4' ? -1 : 1))
    .slice(0, MAX_ENDPOINTS)
    .map((a) => formatEndpoint(a.address, listen.port))
}

/**
 * Addresses that every machine with the same software has. Docker's `br-` has 12 digits behind it; `br-lan` is named
 * by a person.
 */
const CONTAINER_BRIDGES = /^(?:docker|podman|cni-|cni\d|virbr|br-[0-9a-f]{12}$|veth|fn[0-9a-f]{10}|flatnet)/
