/**
 * Reads an assignment out of an untrusted request body; reports every problem at once.
 *
 * Unknown keys are refused.
 */

import { Reader, show } from '../../conf/reader.ts'
import { formatPrefix, isInSlice, type Prefix4, parseCidr4, parseIpv4, parseMac } from '../../core/addr.ts'
import type { Assignment, PortMapping, Protocol } from '../../core/api.ts'
import { isIfname, MAX_CONTAINER_ID_BYTES, MAX_NETWORK_BYTES, NAME_RE } from '../../core/attachment.ts'
import { isObject, type JsonObject } from '../../core/json.ts'

export type Validated =
  | { readonly ok: true; readonly assignment: Assignment }
  | { readonly ok: false; readonly problems: readonly string[] }

const KEYS = [
  'network',
  'containerId',
  'ifname',
  'hostId',
  'ips',
  'mac',
  'name',
  'aliases',
  'ports',
  'httpPort',
  'createdAt',
]
const PORT_KEYS = ['protocol', 'hostIP', 'hostPort', 'containerPort']
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp']

/** Podman names have no bound of their own; a DNS name ends at 253. */
const MAX_NAME = 253
const MAX_IPS = 8
/** As the plugin bounds them; 64 KiB of body hold fewer ports, the leases bring the rest. */
const MAX_ALIASES = 256
const MAX_PORTS = 65_536

export function validateAssignment(value: unknown): Validated {
  if (!isObject(value)) return { ok: false, problems: [`the body is ${show(value)}: must be an object`] }
  const top = new Reader(value)
  refuseUnknown(top, value, KEYS)
  const name = top.has('name') && value['name'] !== null ? nameOf(top, 'name', value['name']) : undefined
  const assignment: Assignment = {
    network: matched(top, 'network', NAME_RE, MAX_NETWORK_BYTES),
    containerId: matched(top, 'containerId', NAME_RE, MAX_CONTAINER_ID_BYTES),
    ifname: ifname(top),
    hostId: top.integer('hostId', undefined, 0, 65_535),
    ips: ips(top),
    mac: mac(top),
    ...(name !== undefined && { name }),
    aliases: bounded(top, 'aliases', MAX_ALIASES).map((v, i) => nameOf(top, `aliases[${i}]`, v)),
    ports: bounded(top, 'ports', MAX_PORTS).map((v, i) => port(v, `ports[${i}].`, top.problems)),
    httpPort: top.integer('httpPort', 80, 1, 65_535),
    createdAt: instant(top),
  }
  return top.problems.length === 0 ? { ok: true, assignment } : { ok: false, problems: top.problems }
}

/** Why the assignment belongs to another gateway; undefined when it belongs to this one. */
export function outsideOf(assignment: Assignment, hostId: number, slice: Prefix4): string | undefined {
  if (assignment.hostId !== hostId) return `hostId is ${assignment.hostId}: this gateway is host ${hostId}`
  const foreign = assignment.ips.filter((cidr) => !isInSlice(slice, parseCidr4(cidr)?.ip ?? -1))
  return foreign.length === 0
    ? undefined
    : `ips has ${foreign.join(', ')}: this host owns ${formatPrefix(slice)}`
}

function refuseUnknown(reader: Reader, value: JsonObject, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key))
      reader.problem(show(key).slice(1, -1), `no such key; known are ${known.join(', ')}`, value[key])
  }
}

function matched(reader: Reader, key: string, pattern: RegExp, max: number): string {
  const value = reader.get(key)
  if (typeof value === 'string' && value.length <= max && pattern.test(value)) return value
  reader.problem(key, `must be 1 to ${max} of a-z, A-Z, 0-9, _ . - and begin with a letter or digit`)
  return ''
}

/** Anything printable: the plugin passes on what it was given, and Podman allows more than DNS does. */
function nameOf(reader: Reader, key: string, value: unknown): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME && /^\P{C}+$/u.test(value)) {
    return value
  }
  reader.problem(key, `must be 1 to ${MAX_NAME} characters without controls`, value)
  return ''
}

function ifname(reader: Reader): string {
  const value = reader.get('ifname')
  if (typeof value === 'string' && isIfname(value)) return value
  reader.problem('ifname', 'must be an interface name of 1 to 15 bytes without / : or blanks')
  return ''
}

function ips(reader: Reader): string[] {
  const list = bounded(reader, 'ips', MAX_IPS)
  if (list.length === 0 && Array.isArray(reader.get('ips') ?? [])) {
    reader.problem('ips', 'must have at least one address, e.g. ["10.100.1.10/24"]')
  }
  const seen = new Set<number>()
  return list.flatMap((value, i) => {
    const cidr = typeof value === 'string' ? parseCidr4(value) : undefined
    if (cidr === undefined)
      reader.problem(`ips[${i}]`, 'must be an IPv4 address with its length, e.g. "10.100.1.10/24"', value)
    else if (seen.has(cidr.ip)) reader.problem(`ips[${i}]`, 'must not be there twice', value)
    else {
      seen.add(cidr.ip)
      return [value as string]
    }
    return []
  })
}

/** Empty when another plugin makes the interface (delegated IPAM). */
function mac(reader: Reader): string {
  const value = reader.get('mac')
  const canonical = value === '' ? '' : typeof value === 'string' ? parseMac(value) : undefined
  if (canonical === undefined) reader.problem('mac', 'must be a MAC address, e.g. "0a:64:0a:64:01:0a", or ""')
  return canonical ?? ''
}

function port(value: unknown, prefix: string, problems: string[]): PortMapping {
  const reader = new Reader(isObject(value) ? value : {}, prefix, problems)
  if (isObject(value)) refuseUnknown(reader, value, PORT_KEYS)
  const protocol = PROTOCOLS.find((p) => p === reader.get('protocol'))
  if (protocol === undefined) reader.problem('protocol', `must be one of ${PROTOCOLS.join(', ')}`)
  const hostIP = reader.get('hostIP') ?? ''
  if (typeof hostIP !== 'string' || (hostIP !== '' && parseIpv4(hostIP) === undefined)) {
    reader.problem('hostIP', 'must be an IPv4 address, or "" for any')
  }
  return {
    protocol: protocol ?? 'tcp',
    hostIP: String(hostIP),
    hostPort: reader.integer('hostPort', undefined, 1, 65_535),
    containerPort: reader.integer('containerPort', undefined, 1, 65_535),
  }
}

function bounded(reader: Reader, key: string, max: number): readonly unknown[] {
  const list = reader.array(key)
  if (list.length <= max) return list
  reader.problem(key, `must have at most ${max} entries, has ${list.length}`, '…')
  return []
}

function instant(reader: Reader): string {
  const value = reader.get('createdAt')
  const ms =
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(value)
      ? Date.parse(value)
      : Number.NaN
  if (!Number.isNaN(ms)) return new Date(ms).toISOString()
  reader.problem('createdAt', 'must be an instant, e.g. "2026-11-20T13:00:00.000Z"')
  return ''
}
