/** The gateway's configuration, flatnet.yaml: read at start, with defaults and every problem at once. */

import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { type Document, parseDocument } from 'yaml'
import { type Prefix4, parsePrefix4, sizeOf } from '../core/addr.ts'
import type { Millis } from '../core/clock.ts'
import { ConfigError, FlatnetError } from '../core/errors.ts'
import { isObject, type JsonObject } from '../core/json.ts'
import { absolute, parseListen, refuseUnknown } from './daemon-values.ts'
import { type DnsConf, readDns } from './dns.ts'
import { readDomains } from './domains.ts'
import { type IngressTlsConf, readIngressTls } from './ingress-tls.ts'
import { type MdnsConf, readMdns } from './mdns.ts'
import { type PathsConf, readPaths } from './paths.ts'
import { Reader, show } from './reader.ts'
import { type RelayConf, readRelay } from './relay.ts'

export const DEFAULT_DAEMON_CONF = '/etc/flatnet/flatnet.yaml'

interface IngressConf {
  readonly enabled: boolean
  readonly host: string
  readonly port: number
  /** One try; three tries fit in 5 s. */
  readonly connectTimeoutMs: Millis
  /** From the last byte sent to the container until its response headers. */
  readonly responseHeaderTimeoutMs: Millis
  /** A client has this long to send its request headers. */
  readonly headersTimeoutMs: Millis
  /** After this an idle client connection is closed. */
  readonly keepAliveMs: Millis
  readonly maxConnections: number
  /** Per client address; 0: no bound. */
  readonly maxConnectionsPerClient: number
  readonly maxHeaderBytes: number
  /** How long requests in flight may take to end when the gateway stops. */
  readonly drainMs: Millis
  /** Networks whose forwarded fields are kept and extended, each `10.0.0.0/8`. */
  readonly trustedProxies: readonly string[]
  /** `*.corp.example`, or a name of the gateway's own; empty: any name is served. */
  readonly domains: readonly string[]
  /** HTTPS; absent: only plain HTTP. */
  readonly tls?: IngressTlsConf
}

export interface LogConf {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** `-`: stdout. */
  readonly file: string
}

/** Where the gateways of other hosts reach this one; used once this host is in a cluster. */
interface PeersConf {
  readonly listen: { readonly host: string; readonly port: number }
  /** `host:port`, the best first; empty: the addresses of this host's interfaces. */
  readonly advertise: readonly string[]
}

/** The UDP path to other hosts. */
interface P2pConf {
  readonly enabled: boolean
  readonly listen: { readonly host: string; readonly port: number }
  /** Hosts with which this one does not use it. */
  readonly off: ReadonlySet<number>
}

export interface DaemonConf {
  readonly hostId: number
  readonly supernet: Prefix4
  readonly hostPrefix: number
  /** Follows from the three above: what this host owns. */
  readonly slice: Prefix4
  readonly dataDir: string
  readonly api: { readonly socket: string; readonly group?: string }
  readonly ingress: IngressConf
  readonly peers: PeersConf
  readonly p2p: P2pConf
  readonly relay: RelayConf
  readonly paths: PathsConf
  readonly dns: DnsConf
  readonly mdns: MdnsConf
  readonly reconcileMs: Millis
  readonly log: LogConf
}

const TOP_KEYS = [
  'hostId',
  'supernet',
  'hostPrefix',
  'dataDir',
  'api',
  'ingress',
  'peers',
  'p2p',
  'relay',
  'paths',
  'dns',
  'mdns',
  'reconcileMs',
  'log',
]
const INGRESS_KEYS = [
  'enabled',
  'listen',
  'connectTimeoutMs',
  'responseHeaderTimeoutMs',
  'headersTimeoutMs',
  'keepAliveMs',
  'maxConnections',
  'maxConnectionsPerClient',
  'maxHeaderBytes',
  'drainMs',
  'trustedProxies',
  'domains',
  'tls',
]
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
/** sun_path holds 107 bytes; the socket is made under a longer name first, see gateway/api/socket.ts. */
const MAX_SOCKET_BYTES = 90

/** @throws {ConfigError} the file cannot be read, is no YAML, or has problems */
export async function readDaemonConf(path: string = DEFAULT_DAEMON_CONF): Promise<DaemonConf> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new FlatnetError(
      'ERR_FLATNET_CONFIG',
      `cannot read ${path}: flatnet install writes it, or name another file with --config`,
      { cause },
    )
  }
  return parseDaemonConf(text)
}

/** @throws {ConfigError} with every problem: key, value, what is allowed */
export function parseDaemonConf(text: string): DaemonConf {
  const document = parseDocument(text)
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((e) => `not YAML: ${e.message.split('\n')[0]}`))
  }
  const value = plain(document)
  if (!isObject(value)) throw new ConfigError([`the file holds ${show(value)}: must be keys with values`])
  return daemonConf(value)
}

/** A file with nothing but comments is an object without keys; aliases are bounded against "billion laughs". */
function plain(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 20 }) ?? {}
  } catch (cause) {
    throw new ConfigError([
      `not YAML that we take: ${cause instanceof Error ? cause.message : String(cause)}`,
    ])
  }
}

export function daemonConf(value: JsonObject): DaemonConf {
  const top = new Reader(value)
  refuseUnknown(top, value, TOP_KEYS)
  const host = readSlice(top)
  const conf: DaemonConf = {
    ...host,
    dataDir: absolute(top, 'dataDir', '/var/lib/flatnet'),
    api: readApi(top),
    ingress: readIngress(top),
    peers: readPeers(top),
    p2p: readP2p(top),
    relay: readRelay(top),
    paths: readPaths(top, host),
    dns: readDns(top),
    mdns: readMdns(top),
    reconcileMs: top.integer('reconcileMs', 30_000, 100, 3_600_000),
    log: readLog(top),
  }
  if (top.problems.length > 0) throw new ConfigError(top.problems)
  return conf
}

function readSlice(top: Reader): Pick<DaemonConf, 'hostId' | 'supernet' | 'hostPrefix' | 'slice'> {
  const allowed = 'must be an IPv4 network without host bits, e.g. "10.100.0.0/16"'
  const fallback: Prefix4 = { base: 0x0a640000, prefixLen: 16 }
  const supernet = top.parsed('supernet', '10.100.0.0/16', allowed, parsePrefix4) ?? fallback
  const hostPrefix = top.integer('hostPrefix', 24, Math.min(supernet.prefixLen + 1, 30), 30)
  // The first slice has the network's own address in it and the last one its broadcast address: with /16 and /24, 1 to
  // 254.
  const max = Math.max(1, 2 ** (hostPrefix - supernet.prefixLen) - 2)
  const hostId = top.integer('hostId', undefined, 1, max)
  const slice = { base: supernet.base + hostId * sizeOf(hostPrefix), prefixLen: hostPrefix }
  return { supernet, hostPrefix, hostId, slice }
}

function readApi(top: Reader): DaemonConf['api'] {
  const api = top.object('api')
  refuseUnknown(api, top.get('api'), ['socket', 'group'])
  const socket = absolute(api, 'socket', '/run/flatnet/gateway.sock')
  if (Buffer.byteLength(socket) > MAX_SOCKET_BYTES) {
    api.problem('socket', `must be at most ${MAX_SOCKET_BYTES} bytes long`)
  }
  if (!api.has('group')) return { socket }
  const group = api.get('group')
  if (typeof group === 'string' && /^[\w.-]{1,64}$/.test(group)) return { socket, group }
  api.problem('group', 'must be the name of a group')
  return { socket }
}

function readIngress(top: Reader): IngressConf {
  const ingress = top.object('ingress')
  refuseUnknown(ingress, top.get('ingress'), INGRESS_KEYS)
  const allowed = 'must be an address and a port, e.g. "0.0.0.0:8080", "127.0.0.1:80" or "[::]:8080"'
  const listen = ingress.parsed('listen', '0.0.0.0:8080', allowed, parseListen)
  const tls = readIngressTls(ingress)
  return {
    enabled: ingress.boolean('enabled', true),
    host: listen?.host ?? '0.0.0.0',
    port: listen?.port ?? 8080,
    connectTimeoutMs: ingress.integer('connectTimeoutMs', 1000, 10, 5000),
    responseHeaderTimeoutMs: ingress.integer('responseHeaderTimeoutMs', 60_000, 10, 3_600_000),
    headersTimeoutMs: ingress.integer('headersTimeoutMs', 15_000, 100, 300_000),
    keepAliveMs: ingress.integer('keepAliveMs', 30_000, 100, 600_000),
    maxConnections: ingress.integer('maxConnections', 4096, 1, 1_000_000),
    maxConnectionsPerClient: ingress.integer('maxConnectionsPerClient', 512, 0, 1_000_000),
    maxHeaderBytes: ingress.integer('maxHeaderBytes', 32_768, 1024, 1_048_576),
    drainMs: ingress.integer('drainMs', 5000, 0, 300_000),
    trustedProxies: readNetworks(ingress, 'trustedProxies'),
    domains: readDomains(ingress, 'domains'),
    ...(tls !== undefined && { tls }),
  }
}

function readNetworks(reader: Reader, key: string): readonly string[] {
  const given = reader.array(key)
  const networks = given.filter((n) => typeof n === 'string' && isNetwork(n))
  if (networks.length < given.length)
    reader.problem(key, 'must be networks, e.g. ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]')
  return networks as string[]
}

function isNetwork(text: string): boolean {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? []
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  return Number(length) <= bits
}

const ADVERTISED_RE = /^(?:\[([0-9a-fA-F:.]+)\]|[\w.-]+):(?!0\d|0$)\d{1,5}$/

function isAdvertised(text: unknown): text is string {
  const match = typeof text === 'string' ? ADVERTISED_RE.exec(text) : null
  return match !== null && (match[1] === undefined || isIP(match[1]) === 6)
}

function readPeers(top: Reader): PeersConf {
  const peers = top.object('peers')
  refuseUnknown(peers, top.get('peers'), ['listen', 'advertise'])
  const allowed = 'must be an address and a port, e.g. "0.0.0.0:7443" or "192.0.2.7:7443"'
  const listen = peers.parsed('listen', '0.0.0.0:7443', allowed, parseListen)
  const given = peers.array('advertise')
  const advertise = given.filter(isAdvertised)
  if (advertise.length < given.length || advertise.length > 8) {
    peers.problem('advertise', 'must be at most 8 addresses with ports, e.g. ["192.0.2.7:7443"]')
  }
  return { listen: listen ?? { host: '0.0.0.0', port: 7443 }, advertise }
}

function readP2p(top: Reader): P2pConf {
  const p2p = top.object('p2p')
  refuseUnknown(p2p, top.get('p2p'), ['enabled', 'listen', 'hosts'])
  const allowed = 'must be an address and a port, e.g. "[::]:7443" or "192.0.2.7:7443"'
  const listen = p2p.parsed('listen', '[::]:7443', allowed, parseListen)
  const hosts = p2p.has('hosts') ? p2p.get('hosts') : {}
  const entries = isObject(hosts) ? Object.entries(hosts) : []
  const isSwitch = (value: unknown): boolean => ['on', 'off', true, false].some((v) => v === value)
  if (!isObject(hosts) || entries.some(([id, value]) => !/^[1-9]\d{0,9}$/.test(id) || !isSwitch(value)))
    p2p.problem('hosts', 'must be hostIds with on or off, e.g. { 7: off }')
  return {
    enabled: p2p.boolean('enabled', true),
    listen: listen ?? { host: '::', port: 7443 },
    off: new Set(entries.flatMap(([id, value]) => (value === 'off' || value === false ? [Number(id)] : []))),
  }
}

function readLog(top: Reader): LogConf {
  const log = top.object('log')
  refuseUnknown(log, top.get('log'), ['level', 'file'])
  const level = log.parsed('level', 'info', `must be one of ${LEVELS.join(', ')}`, (text) =>
    LEVELS.find((l) => l === text),
  )
  const file = log.get('file') === '-' ? '-' : log.has('file') ? absolute(log, 'file', '-') : '-'
  return { level: level ?? 'info', file }
}
