/**
 * An assignment on the wire and under a signature: a tuple in a fixed order.
 *
 * Equal assignments have equal texts.
 */

import { type Ipv4, parseCidr4, parseIpv4 } from '../../core/addr.ts'
import type { Assignment, PortMapping, Protocol } from '../../core/api.ts'
import { isIfname, MAX_CONTAINER_ID_BYTES, MAX_NETWORK_BYTES, NAME_RE } from '../../core/attachment.ts'
import type { Slices } from '../registry/slices.ts'

/**
 * `[network, containerId, ifname, ips, mac, name or null, aliases, ports, httpPort, createdAt]`; hostId is the
 * table's.
 */
export type WireRecord = readonly unknown[]

export type BadRecord = 'malformed' | 'out-of-slice'

/** Validates what a peer sent. An instance may share strings between the records that it makes. */
export interface RecordDecoder {
  decode(value: unknown, hostId: number): Assignment | BadRecord
}

const FIELDS = 10
/** As gateway/api/assignment-schema.ts bounds them where they enter. */
const MAX_NAME = 253
const MAX_IPS = 8
const MAX_ALIASES = 256
const MAX_PORTS = 65_536
/** Networks and interface names are few; more than this are not shared. */
const MAX_SHARED = 1024
const LABEL_RE = /^[^\s\p{C}/]+$/u
const MAC_RE = /^(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5})?$/
const INSTANT_RE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp']

export const wireRecord = (a: Assignment): WireRecord => [
  a.network,
  a.containerId,
  a.ifname,
  a.ips,
  a.mac,
  a.name ?? null,
  a.aliases,
  a.ports.map((p) => [p.protocol, p.hostIP, p.hostPort, p.containerPort]),
  a.httpPort,
  a.createdAt,
]

/** What is hashed and signed. JSON has no raw newline in it, so texts can be joined by one. */
export const recordText = (a: Assignment): string => JSON.stringify(wireRecord(a))

const isText = (value: unknown, max: number, pattern: RegExp): value is string =>
  typeof value === 'string' && value.length <= max && pattern.test(value)

const isPort = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535

const isLabel = (value: unknown): value is string => isText(value, MAX_NAME, LABEL_RE)

function portOf(value: unknown): PortMapping | undefined {
  if (!Array.isArray(value) || value.length !== 4) return undefined
  const [protocol, hostIP, hostPort, containerPort] = value
  const known = PROTOCOLS.find((p) => p === protocol)
  if (known === undefined || !isPort(hostPort) || !isPort(containerPort)) return undefined
  if (typeof hostIP !== 'string' || (hostIP !== '' && parseIpv4(hostIP) === undefined)) return undefined
  return { protocol: known, hostIP, hostPort, containerPort }
}

/** All of a list, or undefined when one of them is wrong or they are too many. */
function all<T>(value: unknown, max: number, read: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value) || value.length > max) return undefined
  const items = value.map(read)
  return items.includes(undefined) ? undefined : (items as T[])
}

const NONE: readonly never[] = Object.freeze([])
const orNone = <T>(items: readonly T[]): readonly T[] => (items.length === 0 ? NONE : items)

const cidrOf = (value: unknown): { ip: Ipv4; text: string } | undefined => {
  const ip = typeof value === 'string' ? parseCidr4(value)?.ip : undefined
  return ip === undefined ? undefined : { ip, text: value as string }
}

export class WireDecoder implements RecordDecoder {
  readonly #slices: Slices
  readonly #shared = new Map<string, string>()

  constructor(slices: Slices) {
    this.#slices = slices
  }

  decode(value: unknown, hostId: number): Assignment | BadRecord {
    if (!Array.isArray(value) || value.length !== FIELDS) return 'malformed'
    const [network, containerId, ifname, ips, mac, name, aliases, ports, httpPort, createdAt] =
      value as unknown[]
    const cidrs = all(ips, MAX_IPS, cidrOf)
    const labels = all(aliases, MAX_ALIASES, (v) => (isLabel(v) ? v : undefined))
    const mappings = all(ports, MAX_PORTS, portOf)
    if (
      !isText(network, MAX_NETWORK_BYTES, NAME_RE) ||
      !isText(containerId, MAX_CONTAINER_ID_BYTES, NAME_RE) ||
      typeof ifname !== 'string' ||
      !isIfname(ifname) ||
      cidrs === undefined ||
      cidrs.length === 0 ||
      new Set(cidrs.map((c) => c.ip)).size !== cidrs.length ||
      !isText(mac, 17, MAC_RE) ||
      (name !== null && !isLabel(name)) ||
      labels === undefined ||
      mappings === undefined ||
      !isPort(httpPort) ||
      !isText(createdAt, 24, INSTANT_RE)
    ) {
      return 'malformed'
    }
    if (!cidrs.every((c) => this.#slices.owns(hostId, c.ip))) return 'out-of-slice'
    return {
      network: this.#share(network),
      containerId,
      ifname: this.#share(ifname),
      hostId,
      ips: cidrs.map((c) => c.text),
      mac,
      ...(name !== null && { name }),
      aliases: orNone(labels),
      ports: orNone(mappings),
      httpPort,
      createdAt,
    }
  }

  #share(text: string): string {
    const known = this.#shared.get(text)
    if (known !== undefined) return known
    if (this.#shared.size < MAX_SHARED) this.#shared.set(text, text)
    return text
  }
}
