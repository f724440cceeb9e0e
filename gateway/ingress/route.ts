/** Which container a request is for: Host header and request target in, decision out. Pure but for the look-up it is given. */

import { parseIpv4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'

interface Lookup {
  /** Of a registered address; undefined for every other. */
  byIp(ip: string): Assignment | undefined
  /** The one to use first. */
  byName(name: string): readonly Assignment[]
}

export interface Target {
  readonly assignment: Assignment
  /** The one that was asked for, else its first. */
  readonly ip: string
  readonly port: number
  /** What is sent to the container: origin-form, or `*`. */
  readonly path: string
  /** `/~web` when the container was named by path, else empty. */
  readonly prefix: string
  /** Of the request, raw: from an absolute target if there is one, else the header. Empty with HTTP/1.0. */
  readonly host: string
}

export type Decision =
  | ({ readonly kind: 'container' } & Target)
  | { readonly kind: 'redirect'; readonly location: string }
  /** `/` on the gateway's own name or address. */
  | { readonly kind: 'list' }
  /** `name` is what somebody meant to reach; empty: a path on the gateway itself. */
  | { readonly kind: 'unknown'; readonly name: string }
  | { readonly kind: 'bad'; readonly problem: string }

export interface RouteFacts {
  /** Raw request target. */
  readonly url: string
  /** Raw Host header; undefined only with HTTP/1.0. */
  readonly host: string | undefined
  /** Names of this machine, lower case: they show the list. */
  readonly ownNames: ReadonlySet<string>
  readonly lookup: Lookup
}

/** Names with more labels than this are nobody's; it bounds the look-ups that a stranger's Host can cause. */
const MAX_LABELS = 8

/**
 * A Host that names a container has it all, `/~user` included; only other hosts are routed by path.
 * RFC 9112 3.2.2: an absolute-form target replaces the Host header.
 */
export function route(facts: RouteFacts): Decision {
  const target = parseTarget(facts.url, facts.host ?? '')
  if (target === undefined)
    return { kind: 'bad', problem: 'the request target is neither a path nor an http:// URL' }
  const host = parseHost(target.host)
  if (host === undefined) return { kind: 'bad', problem: 'the Host header is not a host name' }
  const named = isAddressLike(host) ? undefined : byHost(host, facts.lookup)
  if (named !== undefined) {
    // Written out: a spread of two objects makes a map of its own for each request.
    const { assignment, ip, port } = named
    return { kind: 'container', assignment, ip, port, host: target.host, path: target.path, prefix: '' }
  }
  const byPath = routeByPath(target, facts.lookup)
  if (byPath !== undefined) return byPath
  if (!isOwn(host, facts.ownNames)) return { kind: 'unknown', name: host.split('.')[0]! }
  return /^\/(?:\?|$)/.test(target.path) ? { kind: 'list' } : { kind: 'unknown', name: '' }
}

/** origin-form, absolute-form of http, or asterisk-form. authority-form belongs to CONNECT, which is refused. */
function parseTarget(url: string, host: string): { host: string; path: string } | undefined {
  if (url.includes('#')) return undefined
  if (url.startsWith('/')) return { host, path: url }
  if (url === '*') return { host, path: url }
  const [, authority, rest] = /^http:\/\/([^/?@]*)((?:[/?].*)?)$/i.exec(url) ?? []
  if (authority === undefined || rest === undefined || authority === '') return undefined
  return { host: authority, path: rest.startsWith('/') ? rest : `/${rest}` }
}

/** Lower case, without port and trailing dot; empty when the client gave none; undefined when it is no host. */
function parseHost(text: string): string | undefined {
  const [, host] = /^(\[[0-9a-fA-F:.]+\]|[^\s[\]@/\\?#:,"<>]*)(?::\d{0,5})?$/.exec(text) ?? []
  return (host?.endsWith('.') === true ? host.slice(0, -1) : host)?.toLowerCase()
}

const isAddressLike = (host: string): boolean => host === '' || host.startsWith('[') || /^[\d.]+$/.test(host)

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

/** A single label that names no container is how people call the gateway's machine itself. */
const isOwn = (host: string, ownNames: ReadonlySet<string>): boolean =>
  isAddressLike(host) || !host.includes('.') || ownNames.has(host)

type Named = Pick<Target, 'assignment' | 'ip' | 'port'>

/** Names may have dots themselves: `my.app.flatnet` is container `my.app` before it is container `my`. */
function byHost(host: string, lookup: Lookup): Named | undefined {
  if (labelsIn(host) > MAX_LABELS) return undefined
  for (let end = host.length; end > 0; end = host.lastIndexOf('.', end - 1)) {
    const found = resolveName(host.slice(0, end), lookup)
    if (found !== undefined) return found
  }
  return undefined
}

function labelsIn(host: string): number {
  let labels = 1
  for (let at = host.indexOf('.'); at >= 0; at = host.indexOf('.', at + 1)) labels++
  return labels
}

/**
 * `web`, `web-8080`, `10-100-1-10`, `10-100-1-10-8080`. A registered address comes first, as nobody may take the
 * address of another by calling himself like it; then the exact name, as names end in `-<digits>` too; then name and port.
 */
function resolveName(name: string, lookup: Lookup): Named | undefined {
  const address = byAddress(name, lookup)
  if (address !== undefined) return address
  const [exact] = lookup.byName(name)
  if (exact !== undefined) return { assignment: exact, ip: firstIp(exact), port: exact.httpPort }
  if (!isDigit(name.charCodeAt(name.length - 1))) return undefined
  const [, base, digits] = /^(.+)-(\d{1,5})$/.exec(name) ?? []
  const port = portOf(digits)
  const [assignment] = base === undefined ? [] : lookup.byName(base)
  if (assignment === undefined || port === undefined) return undefined
  return { assignment, ip: firstIp(assignment), port }
}

function firstIp({ ips: [cidr = ''] }: Assignment): string {
  const slash = cidr.indexOf('/')
  return slash < 0 ? cidr : cidr.slice(0, slash)
}

function byAddress(name: string, lookup: Lookup): Named | undefined {
  if (!isDigit(name.charCodeAt(0))) return undefined
  const [, dashed, digits] = /^(\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})(?:-(\d{1,5}))?$/.exec(name) ?? []
  const ip = dashed?.replaceAll('-', '.')
  if (ip === undefined || parseIpv4(ip) === undefined) return undefined
  const assignment = lookup.byIp(ip)
  const port = digits === undefined ? assignment?.httpPort : portOf(digits)
  return assignment === undefined || port === undefined ? undefined : { assignment, ip, port }
}

function portOf(digits: string | undefined): number | undefined {
  const port = Number(digits ?? 0)
  return port >= 1 && port <= 65_535 ? port : undefined
}

function routeByPath({ host, path }: Pick<Target, 'host' | 'path'>, lookup: Lookup): Decision | undefined {
  const [, raw, rest = ''] = /^\/~([^/?]+)(.*)$/.exec(path) ?? []
  if (raw === undefined) return undefined
  const name = decoded(raw)
  if (name === undefined) return { kind: 'bad', problem: 'the path is not percent-encoded UTF-8' }
  const found = resolveName(name, lookup)
  if (found === undefined) return { kind: 'unknown', name }
  // Relative links in the container's pages need the slash to stay below the prefix.
  if (!rest.startsWith('/')) return { kind: 'redirect', location: `/~${raw}/${rest}` }
  return { kind: 'container', ...found, host, path: rest, prefix: `/~${raw}` }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
