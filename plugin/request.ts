/**
 * What the runtime asks for this attachment: CNI_ARGS < args.cni < runtimeConfig
 * (docs/architecture/cni.md#e4).
 */

import type { NetConf } from '../conf/netconf.ts'
import { Reader, show } from '../conf/reader.ts'
import { formatIpv4, isUnicastMac, parseCidr4, parseIpv4, parseMac } from '../core/addr.ts'
import { mappedIpv4, parseIpv6 } from '../core/addr6.ts'
import type { PortMapping, Protocol } from '../core/api.ts'
import { ConfigError } from '../core/errors.ts'
import { foldKeys, isObject, type JsonObject } from '../core/json.ts'
import { reservedNames } from '../core/reserved-names.ts'
import { machineName } from '../kernel/machine-name.ts'

export interface AttachmentRequest {
  /** Canonical IPv4 without prefix length. */
  readonly ip?: string
  readonly mac?: string
  readonly name?: string
  readonly aliases: readonly string[]
  readonly ports: readonly PortMapping[]
  readonly httpPort: number
}

/** More names or ports than any real container has; bounds what one attachment may put into maps and tables. */
const MAX_ALIASES = 256
const MAX_PORTS = 65_536
const PORT_KEYS = ['hostPort', 'containerPort', 'protocol', 'hostIP']

/** @throws {ConfigError} every problem at once */
export function readAttachmentRequest(conf: NetConf, args: ReadonlyMap<string, string>): AttachmentRequest {
  const problems: string[] = []
  const run = new Reader(conf.runtimeConfig, 'runtimeConfig.', problems)
  const cni = new Reader(conf.cniArgs, 'args.cni.', problems)
  const ip = readIp(run, cni, args, problems)
  const mac = readMac(run, cni, args, problems)
  const name = args.get('K8S_POD_NAME')
  const request: AttachmentRequest = {
    ...(ip !== undefined && { ip }),
    ...(mac !== undefined && { mac }),
    ...(name && { name }),
    aliases: conf.role === 'plugin' ? readAliases(run, conf.name) : [],
    ports: conf.role === 'plugin' ? readPorts(run) : [],
    httpPort: readHttpPort(args, problems) ?? conf.httpPort,
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return request
}

/** An empty list or text asks for nothing, so the weaker source applies. */
function isGiven(reader: Reader, key: string): boolean {
  const value = reader.get(key)
  return (
    value !== undefined && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0)
  )
}

/** Podman repeats an address on `network reload` (configured + current): equal ones count once. */
function readIp(
  run: Reader,
  cni: Reader,
  args: ReadonlyMap<string, string>,
  problems: string[],
): string | undefined {
  const [source, values] = isGiven(run, 'ips')
    ? (['runtimeConfig.ips', run.array('ips')] as const)
    : isGiven(cni, 'ips')
      ? (['args.cni.ips', cni.array('ips')] as const)
      : (['CNI_ARGS IP', args.get('IP') ? [args.get('IP')] : []] as const)
  const ips: string[] = []
  for (const value of values) {
    const ip = typeof value === 'string' ? (parseIpv4(value) ?? parseCidr4(value)?.ip) : undefined
    if (ip === undefined)
      problems.push(`${source} has ${show(value)}: must be an IPv4 address of this host's slice`)
    else if (!ips.includes(formatIpv4(ip))) ips.push(formatIpv4(ip))
  }
  if (ips.length > 1)
    problems.push(`${source} is ${show(ips)}: one attachment holds one address; ask for one`)
  return ips[0]
}

function readMac(
  run: Reader,
  cni: Reader,
  args: ReadonlyMap<string, string>,
  problems: string[],
): string | undefined {
  const [source, value] = isGiven(run, 'mac')
    ? (['runtimeConfig.mac', run.get('mac')] as const)
    : isGiven(cni, 'mac')
      ? (['args.cni.mac', cni.get('mac')] as const)
      : (['CNI_ARGS MAC', args.get('MAC')] as const)
  if (value === undefined || value === '') return undefined
  const mac = typeof value === 'string' ? parseMac(value) : undefined
  if (mac !== undefined && isUnicastMac(mac)) return mac
  problems.push(`${source} is ${show(value)}: must be a unicast MAC address, e.g. "02:00:5e:10:00:01"`)
  return undefined
}

/** @returns undefined: not a port from 1 to 65535 */
export function portOf(text: unknown): number | undefined {
  const port = typeof text === 'string' && /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

function readHttpPort(args: ReadonlyMap<string, string>, problems: string[]): number | undefined {
  const text = args.get('FLATNET_PORT')
  if (text === undefined || text === '') return undefined
  const port = portOf(text)
  if (port !== undefined) return port
  problems.push(`CNI_ARGS FLATNET_PORT is ${show(text)}: must be a port from 1 to 65535`)
  return undefined
}

/** The convention says a list of strings; Podman sends `{"<network>": ["alias", …]}`. */
function readAliases(run: Reader, network: string): string[] {
  const value = run.get('aliases')
  const list = isObject(value) ? (ownOf(value, network) ?? []) : (value ?? [])
  if (!isStrings(list) || list.length > MAX_ALIASES) {
    run.problem('aliases', `must be a list of at most ${MAX_ALIASES} strings`)
    return []
  }
  if (list.length === 0) return []
  refuseReserved(list, run)
  return [...new Set(list.filter((a) => a !== ''))]
}

/** Who asks the gateway for its own machine must not get a container. */
function refuseReserved(aliases: readonly string[], run: Reader): void {
  const reserved = reservedNames(machineName())
  const taken = aliases.find((a) => reserved.has(a.toLowerCase()))
  if (taken !== undefined)
    run.problem('aliases', 'must not hold localhost or the name of this host; choose another alias', taken)
}

function isStrings(value: unknown): value is string[] {
  if (!Array.isArray(value)) return false
  for (const item of value) if (typeof item !== 'string') return false
  return true
}

/** A network may be called `constructor`. */
const ownOf = (object: JsonObject, key: string): unknown =>
  Object.hasOwn(object, key) ? object[key] : undefined

function readPorts(run: Reader): PortMapping[] {
  const list = run.array('portMappings')
  if (list.length === 0) return []
  if (list.length > MAX_PORTS) run.problem('portMappings', `at most ${MAX_PORTS} entries`)
  const seen = new Map<string, PortMapping>()
  for (const [i, entry] of list.entries()) {
    const mapping = isObject(entry) ? foldKeys(entry, PORT_KEYS) : {}
    const reader = new Reader(mapping, `runtimeConfig.portMappings[${i}].`, run.problems)
    const port = readPort(reader)
    if (port === undefined) continue
    const place = `${port.protocol} ${port.hostIP}:${port.hostPort}`
    const first = seen.get(place)
    if (first !== undefined && first.containerPort !== port.containerPort) {
      reader.problem(
        'hostPort',
        `leads to container port ${first.containerPort} already; use another host port`,
      )
    }
    seen.set(place, port)
  }
  return [...seen.values()]
}

function readPort(reader: Reader): PortMapping | undefined {
  const protocol = reader.parsed('protocol', 'tcp', 'must be tcp, udp or sctp', readProtocol)
  const hostPort = reader.integer('hostPort', undefined, 1, 65_535)
  const containerPort = reader.integer('containerPort', undefined, 1, 65_535)
  const hostIP = reader.parsed('hostIP', '', 'must be an IP address of this host, or absent', readHostIp)
  if (protocol === undefined || hostIP === undefined || !hostPort || !containerPort) return undefined
  // Our addresses are IPv4: a mapping for an IPv6 host address is not for this plugin (portmap does the same).
  return hostIP === 'ipv6' ? undefined : { protocol, hostIP, hostPort, containerPort }
}

function readProtocol(text: string): Protocol | undefined {
  const lower = text.toLowerCase()
  return lower === 'tcp' || lower === 'udp' || lower === 'sctp' ? lower : undefined
}

/** `''` and every spelling of zeros stand for any address; another IPv6 address gives `ipv6`. */
function readHostIp(text: string): string | undefined {
  if (text === '') return ''
  const groups = text.includes(':') ? parseIpv6(text.replace(/%\S+$/, '')) : undefined
  const ip = groups === undefined ? parseIpv4(text) : mappedIpv4(groups)
  if (ip !== undefined) return ip === 0 ? '' : formatIpv4(ip)
  if (groups === undefined) return undefined
  return groups.every((group) => group === 0) ? '' : 'ipv6'
}
