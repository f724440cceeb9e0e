/**
 * What netavark sends, as the configuration and the environment of a CNI runtime: one core serves both dialects.
 *
 * @see netavark plugin API 1.0.0, docs/architecture/dialects.md
 */

import { entryOf } from '../../conf/network-options.ts'
import { show } from '../../conf/reader.ts'
import { isName } from '../../core/attachment.ts'
import { ConfigError, FlatnetError } from '../../core/errors.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { type Env, readEnv } from '../env.ts'
import { portOf } from '../request.ts'
import { CURRENT_VERSION } from '../versions.ts'

/** @throws {FlatnetError} ERR_FLATNET_DECODE */
export function parseInput(text: string): JsonObject {
  let input: unknown
  try {
    input = JSON.parse(text)
  } catch (cause) {
    throw new FlatnetError('ERR_FLATNET_DECODE', 'what netavark wrote to stdin is not JSON', { cause })
  }
  if (!isObject(input)) throw new FlatnetError('ERR_FLATNET_DECODE', 'stdin must hold a JSON object')
  return input
}

/** The keys of a network that ask for what Flatnet does not make, with the way out. */
export function networkProblems(network: JsonObject): string[] {
  const problems: string[] = []
  if (network['ipv6_enabled'] === true)
    problems.push('ipv6_enabled is true: Flatnet has IPv4 addresses only; leave --ipv6 out')
  if (network['internal'] === true)
    problems.push(
      'internal is true: it has no meaning here; leave --internal out, or set the option ipMasq=false',
    )
  const routes = network['routes']
  if (Array.isArray(routes) && routes.length > 0)
    problems.push('routes is set: leave --route out, and set the option ipam.routes')
  return problems
}

/** @returns the network's configuration, as the entry of a conflist */
export const configOf = (network: JsonObject): JsonObject => ({
  ...entryOf(network),
  cniVersion: CURRENT_VERSION,
  name: network['name'],
})

/** setup and teardown: the network's configuration with what this container asks for. */
export interface AttachmentInput {
  readonly env: Env
  readonly json: JsonObject
}

/** @throws {FlatnetError} code 4: an impossible id or interface name @throws {ConfigError} a wrong option */
export function attachmentInput(verb: 'ADD' | 'DEL', input: JsonObject, netns: string): AttachmentInput {
  const network = objectAt(input, 'network')
  const options = objectAt(input, 'network_options')
  const env = readEnv({
    CNI_COMMAND: verb,
    CNI_CONTAINERID: textOf(input['container_id']),
    CNI_NETNS: netns,
    CNI_IFNAME: textOf(options['interface_name']),
    // A teardown has to work with what a setup refused.
    ...(verb === 'ADD' && { CNI_ARGS: argsOf(input, options) }),
  })
  const runtimeConfig = {
    ips: options['static_ips'] ?? [],
    mac: options['static_mac'] ?? '',
    aliases: { [textOf(network['name'])]: options['aliases'] ?? [] },
    portMappings: portsOf(input['port_mappings']),
  }
  return { env, json: { ...configOf(network), runtimeConfig } }
}

/** @throws {FlatnetError} ERR_FLATNET_DECODE */
export function objectAt(input: JsonObject, key: string): JsonObject {
  const value = input[key]
  if (isObject(value)) return value
  throw new FlatnetError('ERR_FLATNET_DECODE', `${key} is ${show(value)}: must be an object`)
}

/** What `podman network update --dns-add` has set: where the gateway asks for names that are not ours. */
export function upstreamsOf({ network_dns_servers: servers }: JsonObject): string[] {
  return Array.isArray(servers) ? servers.filter((server) => typeof server === 'string') : []
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const OPTION_RULE = 'flatnet knows port, e.g. --network flatnet:port=3000'

/** What CNI passes as CNI_ARGS: the container's name, and the port of its page. */
function argsOf(input: JsonObject, networkOptions: JsonObject): string {
  const args: string[] = []
  const name = textOf(input['container_name'])
  if (isName(name)) args.push(`K8S_POD_NAME=${name}`)
  const options = isObject(networkOptions['options']) ? networkOptions['options'] : {}
  const problems: string[] = []
  for (const [key, value] of Object.entries(options)) {
    if (key !== 'port') problems.push(`option ${key} is ${show(value)}: ${OPTION_RULE}`)
    else if (portOf(value) === undefined)
      problems.push(`option port is ${show(value)}: must be a port from 1 to 65535`)
    else args.push(`FLATNET_PORT=${String(value)}`)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return args.join(';')
}

/** `-p 9000-9002` is one mapping with a range of 3, and `-p 53:53/tcp,udp` may be one with both protocols. */
function portsOf(mappings: unknown): unknown {
  if (!Array.isArray(mappings)) return mappings ?? []
  return mappings.flatMap((mapping: unknown) => {
    if (!isObject(mapping)) return [mapping]
    const { host_ip: hostIP, host_port: hostPort, container_port: containerPort } = mapping
    const protocols = typeof mapping['protocol'] === 'string' ? mapping['protocol'].split(',') : [undefined]
    const ports = Array.from({ length: rangeOf(mapping) }, (_, i) => ({
      hostPort: Number(hostPort) + i,
      containerPort: Number(containerPort) + i,
      hostIP: hostIP ?? '',
    }))
    return protocols.flatMap((protocol) => ports.map((port) => ({ ...port, ...(protocol && { protocol }) })))
  })
}

const MAX_RANGE = 65_535

/** @throws {ConfigError} more ports than there are */
function rangeOf(mapping: JsonObject): number {
  const range = mapping['range'] ?? 1
  if (Number.isInteger(range) && Number(range) >= 1 && Number(range) <= MAX_RANGE) return Number(range)
  throw new ConfigError([`port_mappings range is ${show(range)}: must be 1 to ${MAX_RANGE}`])
}
