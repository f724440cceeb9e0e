/** Which DNS servers a container gets: what the configuration says, else the gateway. */

import { readFileSync } from 'node:fs'
import type { NetConf } from '../conf/netconf.ts'
import { formatIpv4, parseIpv4 } from '../core/addr.ts'
import { parseIpv6 } from '../core/addr6.ts'
import { hasCode } from '../core/errors.ts'
import { isObject, type JsonObject } from '../core/json.ts'
import { NAMES_FILE } from '../core/names-file.ts'
import type { Slice } from '../ipam/choose/slice.ts'
import { UnixStream } from '../kernel/unix-stream.ts'
import type { CniResult } from './result.ts'

/** What stands in resolv.conf after our server: the servers of the host (CNI of Podman 4), or nothing (netavark). */
export type DnsFallback = 'host-servers' | 'nothing'

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((text) => typeof text === 'string') : []

const isAddress = (text: string): boolean => parseIpv4(text) !== undefined || parseIpv6(text) !== undefined

/**
 * The `dns` of the result. What a person wrote wins: `runtimeConfig.dns`, then the configuration's `dns`, then that of
 * an earlier plugin. Servers of their own leave no place for ours, nor for our search domain.
 */
export function dnsOf(
  conf: NetConf,
  slice: Slice,
  prev: CniResult | undefined,
  fallback: DnsFallback = 'host-servers',
): JsonObject {
  const written = { ...(isObject(conf.dns) ? conf.dns : {}), ...runtimeDns(conf.runtimeConfig) }
  const names = 'nameservers'
  if (texts(written[names]).length > 0) return written
  const isWritten = Object.keys(written).length > 0
  if (!isWritten && texts(prev?.dns[names]).length > 0) return {}
  const domain = servedDomain(conf, slice, fallback)
  if (domain === undefined) return written
  const search = texts(written['search'])
  return {
    ...written,
    nameservers: [formatIpv4(slice.bridge)],
    search: search.length > 0 ? search : [domain],
  }
}

/** The capability `dns`: `{ servers, searches, options }`; empty lists say nothing. */
function runtimeDns({ dns }: JsonObject): JsonObject {
  if (!isObject(dns)) return {}
  const servers = texts(dns['servers']).filter(isAddress)
  const searches = texts(dns['searches'])
  const options = texts(dns['options'])
  return {
    ...(servers.length > 0 && { nameservers: servers }),
    ...(searches.length > 0 && { search: searches }),
    ...(options.length > 0 && { options }),
  }
}

/**
 * The search domain, where the gateway serves names. Where it would be the container's only server, a gateway that does
 * not run leaves the container with the host's servers: better no names of containers than none at all
 * (docs/decisions/0059-names-for-containers.md).
 */
function servedDomain(
  { dataDir, registrar }: NetConf,
  slice: Slice,
  fallback: DnsFallback,
): string | undefined {
  const announced = readAnnouncement(`${dataDir}/${NAMES_FILE}`)
  if (announced === undefined || announced.taken.includes(formatIpv4(slice.bridge))) return undefined
  if (fallback === 'nothing' && !isListening(registrar.socketPath)) return undefined
  return announced.domain
}

function readAnnouncement(path: string): { domain: string; taken: string[] } | undefined {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (err) {
    // Half a file is never there; a wrong one costs names and stops no container.
    if (hasCode(err, 'ENOENT') || err instanceof SyntaxError) return undefined
    throw err
  }
  if (!isObject(value) || typeof value['domain'] !== 'string') return undefined
  return { domain: value['domain'], taken: texts(value['taken']) }
}

function isListening(socketPath: string): boolean {
  try {
    using _stream = new UnixStream(socketPath)
    return true
  } catch {
    // ENOENT, ECONNREFUSED, or too many that wait already: it will not answer names either.
    return false
  }
}
