/** Which container a request is for, by Host header and target. Pure but for its look-up. */

import type { Assignment } from '../../core/api.ts'
import { type NameLookup, resolveHost, resolveName } from '../registry/names.ts'
import { type HostNames, isServed } from './host-names.ts'

export interface Target {
  readonly assignment: Assignment
  /** The address that was asked for, else its first. */
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
  /** `name` is what the client meant to reach; empty: a path on the gateway itself. `isOwn`: of the Host. */
  | { readonly kind: 'unknown'; readonly name: string; readonly isOwn: boolean }
  /** `ingress.domains` does not have it. */
  | { readonly kind: 'foreign'; readonly host: string }
  | { readonly kind: 'bad'; readonly problem: string }

export interface RouteFacts {
  /** Raw request target. */
  readonly url: string
  /** Raw Host header; undefined only with HTTP/1.0. */
  readonly host: string | undefined
  /** The client came by HTTPS. */
  readonly isSecure?: boolean
  readonly names: HostNames
  readonly lookup: NameLookup
}

/**
 * A Host that names a container gets every path, `/~user` included; only other hosts are routed by path.
 * RFC 9112 3.2.2: an absolute-form target replaces the Host header.
 */
export function route(facts: RouteFacts): Decision {
  const scheme = facts.isSecure === true ? 'https' : 'http'
  const target = parseTarget(facts.url, facts.host ?? '', scheme)
  if (target === undefined)
    return { kind: 'bad', problem: `the request target is neither a path nor an ${scheme}:// URL` }
  const host = parseHost(target.host)
  if (host === undefined) return { kind: 'bad', problem: 'the Host header is not a host name' }
  const isOwn = isOwnHost(host, facts.names)
  if (!isOwn && host.includes('.') && !isServed(facts.names, host)) return { kind: 'foreign', host }
  const isName = !isAddressLike(host) && !facts.names.own.has(host)
  const named = isName ? resolveHost(host, facts.lookup) : undefined
  if (named !== undefined) {
    // Written out: a spread of two objects makes a map of its own for each request.
    const { assignment, ip, port } = named
    return { kind: 'container', assignment, ip, port, host: target.host, path: target.path, prefix: '' }
  }
  const byPath = routeByPath(target, isOwn, facts.lookup)
  if (byPath !== undefined) return byPath
  if (!isOwn) return { kind: 'unknown', name: host.split('.')[0]!, isOwn }
  return /^\/(?:\?|$)/.test(target.path) ? { kind: 'list' } : { kind: 'unknown', name: '', isOwn }
}

/** origin-form, absolute-form of the scheme, or asterisk-form. authority-form belongs to CONNECT, which is refused. */
function parseTarget(
  url: string,
  host: string,
  scheme: 'http' | 'https',
): { host: string; path: string } | undefined {
  if (url.includes('#')) return undefined
  if (url.startsWith('/')) return { host, path: url }
  if (url === '*') return { host, path: url }
  const [, found, authority, rest] = /^(https?):\/\/([^/?@]*)((?:[/?].*)?)$/i.exec(url) ?? []
  if (found?.toLowerCase() !== scheme) return undefined
  if (authority === undefined || rest === undefined || authority === '') return undefined
  return { host: authority, path: rest.startsWith('/') ? rest : `/${rest}` }
}

/** Lower case, without port and trailing dot; empty when the client gave none; undefined: not a host. */
function parseHost(text: string): string | undefined {
  const [, host] = /^(\[[0-9a-fA-F:.]+\]|[^\s[\]@/\\?#:,"<>]*)(?::\d{0,5})?$/.exec(text) ?? []
  return (host?.endsWith('.') === true ? host.slice(0, -1) : host)?.toLowerCase()
}

const isAddressLike = (host: string): boolean => host === '' || host.startsWith('[') || /^[\d.]+$/.test(host)

/**
 * A single label that names no container is how people call the gateway's machine itself; a stranger's page cannot
 * have such a name, as its domain has a dot.
 */
const isOwnHost = (host: string, { own }: HostNames): boolean =>
  isAddressLike(host) || !host.includes('.') || own.has(host)

function routeByPath(
  { host, path }: Pick<Target, 'host' | 'path'>,
  isOwn: boolean,
  lookup: NameLookup,
): Decision | undefined {
  const [, raw, rest = ''] = /^\/~([^/?]+)(.*)$/.exec(path) ?? []
  if (raw === undefined) return undefined
  const name = decoded(raw)
  if (name === undefined) return { kind: 'bad', problem: 'the path is not percent-encoded UTF-8' }
  const found = resolveName(name, lookup)
  if (found === undefined) return { kind: 'unknown', name, isOwn }
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
