/**
 * The network configuration that a runtime writes to the plugin's stdin, read once, with every problem at once
 * (docs/architecture/plugin.md#configuration).
 */

import { parseIpv4 } from '../core/addr.ts'
import { parseIpv6 } from '../core/addr6.ts'
import { IFNAME_RULE, isIfname, isName, MAX_NETWORK_BYTES } from '../core/attachment.ts'
import { ConfigError, FlatnetError } from '../core/errors.ts'
import { foldKeys, isObject, type JsonObject } from '../core/json.ts'
import { type IpamConf, readIpam } from './ipam-section.ts'
import { refuseMisspelt } from './misspelt.ts'
import { Reader, show } from './reader.ts'

export interface NetConf {
  readonly cniVersion: string
  readonly name: string
  /** `plugin`: we wire and address. `ipam`: another plugin delegates the address to us. */
  readonly role: 'plugin' | 'ipam'
  readonly bridge: string
  /** 0: from the uplink. */
  readonly mtu: number
  readonly isDefaultGateway: boolean
  readonly ipMasq: boolean
  readonly hairpinMode: boolean
  /** A container's port passes only its own addresses and MAC. */
  readonly antiSpoof: boolean
  /** Containers reach the services of this host. */
  readonly hostAccess: boolean
  readonly httpPort: number
  readonly ipam: IpamConf
  readonly dataDir: string
  readonly registrar: { readonly socketPath: string; readonly timeoutMs: number }
  /** As written; plugin/request.ts reads them together with CNI_ARGS. */
  readonly runtimeConfig: JsonObject
  readonly cniArgs: JsonObject
  readonly prevResult: unknown
  readonly dns: unknown
  /** DNS servers that the gateway asks for this network; only netavark has a place for them. */
  readonly upstreams?: readonly string[]
  /** GC: the attachments to keep; undefined when the key is absent. */
  readonly validAttachments: unknown
}

export const DEFAULT_DATA_DIR = '/var/lib/flatnet'
export const DEFAULT_ENDPOINT = 'unix:///run/flatnet/gateway.sock'

/** sun_path holds 108 bytes with its NUL (unix(7)). */
const MAX_SOCKET_PATH = 107

/** Written by the runtime, whatever the conflist says; the conflist's own keys must have the right case. */
const RUNTIME_KEYS = [
  'cniVersion',
  'name',
  'args',
  'runtimeConfig',
  'prevResult',
  'cni.dev/valid-attachments',
  'cni.dev/attachments',
]
const CAPABILITY_KEYS = ['portMappings', 'ips', 'mac', 'aliases']

/** The JSON object on stdin. A BOM or trailing garbage is refused, as Go's decoder does. */
export function parseNetConfJson(text: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new FlatnetError('ERR_FLATNET_DECODE', 'stdin is not a JSON network configuration', { cause })
  }
  if (!isObject(value)) {
    throw new FlatnetError(
      'ERR_FLATNET_DECODE',
      `stdin holds ${show(value)}, not a network configuration object`,
    )
  }
  return foldKeys(value, RUNTIME_KEYS)
}

/** The name, checked before all else as the reference skeleton does. */
export function networkName(json: JsonObject): string {
  const name = json['name']
  if (name === undefined || name === '') throw new FlatnetError('ERR_FLATNET_CONFIG', 'missing network name')
  if (typeof name !== 'string' || !isName(name)) {
    throw new FlatnetError('ERR_FLATNET_CONFIG', 'invalid characters found in network name', {
      details: typeof name === 'string' ? name : show(name),
    })
  }
  if (name.length > MAX_NETWORK_BYTES) {
    throw new FlatnetError(
      'ERR_FLATNET_CONFIG',
      `network name ${show(name)} is too long: at most ${MAX_NETWORK_BYTES} characters`,
    )
  }
  return name
}

/**
 * @throws {ConfigError} code 7 with every problem, or code 2 when all of them are unknown keys
 */
export function readNetConf(json: JsonObject, cniVersion: string): NetConf {
  const { conf, problems } = readLeniently(json, cniVersion)
  refuseProblems(problems)
  return conf
}

/** @throws {ConfigError} as `readNetConf`, when there are any */
export function refuseProblems(problems: readonly string[]): void {
  if (problems.length === 0) return
  const unsupported = problems.every((p) => / no such key; | write [a-zA-Z]+$/.test(p))
  throw new ConfigError(problems, unsupported ? 'ERR_FLATNET_UNSUPPORTED' : 'ERR_FLATNET_CONFIG')
}

/** For DEL and GC, which work with a configuration that is no longer valid: defaults replace wrong values. */
export function readLeniently(json: JsonObject, cniVersion: string): { conf: NetConf; problems: string[] } {
  const top = new Reader(json)
  const name = networkName(json)
  const role = json['type'] === 'flatnet' ? 'plugin' : 'ipam'
  const ipam = top.object('ipam')
  if (!isType(json['type'])) {
    // Read as another plugin's, the container would get an address and no interface for it.
    top.problem('type', 'must be "flatnet", the name under which the plugin is installed')
  }
  if (role === 'plugin') {
    refuseMisspelt(top, json)
    if (top.has('dns')) readDns(top)
  }
  if (ipam.get('type') !== undefined && ipam.get('type') !== 'flatnet') {
    ipam.problem('type', 'must be "flatnet": the slice belongs to this plugin')
  }
  const dataDir = role === 'ipam' && ipam.has('dataDir') ? absolute(ipam) : absolute(top)
  const ipamConf = readIpam(ipam)
  const conf: NetConf = {
    cniVersion,
    name,
    role,
    // With delegated IPAM, keys of these names belong to the other plugin.
    ...readWiring(role === 'plugin' ? top : new Reader({})),
    ipam: ipamConf,
    dataDir,
    registrar: readRegistrar(top),
    runtimeConfig: foldKeys(objectOr(top, 'runtimeConfig'), CAPABILITY_KEYS),
    cniArgs: readArgs(top),
    prevResult: json['prevResult'],
    dns: json['dns'],
    validAttachments: json['cni.dev/valid-attachments'] ?? json['cni.dev/attachments'],
  }
  return { conf, problems: top.problems }
}

/** `flatnet`, or the plugin that delegates its addresses to us. */
const isType = (type: unknown): boolean =>
  typeof type === 'string' && type !== '' && !/^flatnet[-_.]/.test(type)

const isAddress = (text: string): boolean => parseIpv4(text) !== undefined || parseIpv6(text) !== undefined

/**
 * Podman refuses a result whose nameservers are no addresses (docs/architecture/cni.md#podman-result), after
 * everything has been made.
 */
function readDns(top: Reader): void {
  const dns = top.object('dns')
  for (const [i, server] of dns.array('nameservers').entries()) {
    if (typeof server !== 'string' || !isAddress(server)) {
      dns.problem(`nameservers[${i}]`, 'must be an IP address', server)
    }
  }
  if (dns.has('domain')) dns.string('domain', '')
  for (const key of ['search', 'options']) {
    for (const [i, text] of dns.array(key).entries()) {
      if (typeof text !== 'string') dns.problem(`${key}[${i}]`, 'must be a string', text)
    }
  }
}

type Wiring = Pick<
  NetConf,
  'bridge' | 'mtu' | 'isDefaultGateway' | 'ipMasq' | 'hairpinMode' | 'antiSpoof' | 'hostAccess' | 'httpPort'
>

function readWiring(top: Reader): Wiring {
  const bridge = top.string('bridge', 'flatnet0')
  if (!isIfname(bridge)) top.problem('bridge', `must be an interface name: ${IFNAME_RULE}`)
  // 0 or 576..65535: RFC 791 asks every host to take 576 bytes; veth takes 68 to 65535.
  const mtu = top.integer('mtu', 0, 0, 65_535)
  if (mtu > 0 && mtu < 576) top.problem('mtu', 'must be 0 (from the uplink) or 576 to 65535')
  return {
    bridge,
    mtu,
    isDefaultGateway: top.boolean('isDefaultGateway', true),
    ipMasq: top.boolean('ipMasq', true),
    hairpinMode: top.boolean('hairpinMode', true),
    antiSpoof: top.boolean('antiSpoof', true),
    hostAccess: top.boolean('hostAccess', false),
    httpPort: top.integer('httpPort', 80, 1, 65_535),
  }
}

function readRegistrar(top: Reader): NetConf['registrar'] {
  const registrar = top.object('registrar')
  registrar.refuseUnknown(['endpoint', 'timeoutMs'])
  const socketPath =
    registrar.parsed('endpoint', DEFAULT_ENDPOINT, 'must be unix:// and an absolute path', (text) => {
      const path = text.startsWith('unix:///') ? text.slice('unix://'.length) : undefined
      return path !== undefined && Buffer.byteLength(path) <= MAX_SOCKET_PATH ? path : undefined
    }) ?? DEFAULT_ENDPOINT.slice('unix://'.length)
  return { socketPath, timeoutMs: registrar.integer('timeoutMs', 300, 1, 10_000) }
}

/** In /proc mkdir fails with ENOENT; node:fs takes that for a missing parent, so a recursive mkdir never ends. */
const isNoDisk = (path: string): boolean => /^[/.]*\/(proc|sys)(\/|$)|\/\.\.(\/|$)/.test(path)

function absolute(reader: Reader): string {
  const path = reader.string('dataDir', DEFAULT_DATA_DIR)
  const isSuspect = path.includes('/proc') || path.includes('/sys') || path.includes('/..')
  if (path.startsWith('/') && !path.includes('\0') && !(isSuspect && isNoDisk(path))) {
    let end = path.length
    while (end > 1 && path[end - 1] === '/') end--
    return path.slice(0, end)
  }
  reader.problem('dataDir', 'must be an absolute path without .., and not below /proc or /sys')
  return DEFAULT_DATA_DIR
}

function readArgs(top: Reader): JsonObject {
  const args = new Reader(foldKeys(objectOr(top, 'args'), ['cni']), 'args.', top.problems)
  return foldKeys(objectOr(args, 'cni'), CAPABILITY_KEYS)
}

function objectOr(reader: Reader, key: string): JsonObject {
  const value = reader.get(key)
  if (value === undefined || value === null) return {}
  if (isObject(value)) return value
  reader.problem(key, 'must be an object')
  return {}
}
