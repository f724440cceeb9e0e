/**
 * Moves what points into a container's path space below `/~name`, for containers named by path, and drops what would
 * act on all of the origin, which others share.
 *
 * Pure.
 */

import { hostSaid, prefixSaid } from './forwarded.ts'
import type { RawHeaders } from './raw-headers.ts'
import type { Target } from './route.ts'

export interface RewriteFacts {
  /** `/~web` */
  readonly prefix: string
  /** Host header of the request, raw. */
  readonly host: string
  /** The one that the client asked for, by a trusted proxy in front. */
  readonly forwardedHost?: string | undefined
  /** `10.100.1.10:80`: some applications build URLs from what they listen on. */
  readonly endpoint: string
}

/** @returns undefined: the field is dropped */
export type Rewrite = (name: Rewritten, value: string) => string | undefined

/**
 * Behind a trusted proxy the client knows the container by that proxy's name, and below its prefix.
 * @param raw fields of the request
 * @returns undefined: the client has the container's own path space
 */
export function rewriteOf(
  { prefix, host, ip, port }: Target,
  raw: RawHeaders,
  isTrusted: boolean,
): Rewrite | undefined {
  if (prefix === '') return undefined
  const outside = isTrusted ? raw : []
  const facts: RewriteFacts = {
    prefix: prefixSaid(outside) + prefix,
    host,
    forwardedHost: hostSaid(outside),
    endpoint: `${ip}:${port}`,
  }
  return (name, value) => rewriteHeader(facts, name, value)
}

/**
 * Absolute paths and URLs of the same origin get the prefix; relative ones already resolve below it; other origins
 * stay. What already has the prefix was made by an application that knows X-Forwarded-Prefix.
 * Bodies are never rewritten.
 */
export function rewriteHeader(facts: RewriteFacts, name: Rewritten, value: string): string | undefined {
  if (isOriginWide(name)) return undefined
  if (name === 'set-cookie') return cookie(facts, value)
  if (name === 'service-worker-allowed') return scope(facts, value)
  if (name === 'link') return links(facts, value)
  return name === 'refresh' ? refresh(facts, value) : url(facts, value)
}

/**
 * No path narrows these: they empty the storage of others, send their users elsewhere (RFC 7838) or to HTTPS alone
 * (RFC 6797), or report their requests to a place of this container's choice.
 */
type OriginWide = 'clear-site-data' | 'alt-svc' | 'strict-transport-security' | 'nel' | 'report-to'

const ORIGIN_WIDE: ReadonlySet<string> = new Set<OriginWide>([
  'clear-site-data',
  'alt-svc',
  'strict-transport-security',
  'nel',
  'report-to',
])

const isOriginWide = (name: Rewritten): name is OriginWide => ORIGIN_WIDE.has(name)

export type Rewritten =
  | 'location'
  | 'content-location'
  | 'refresh'
  | 'link'
  | 'set-cookie'
  | 'service-worker-allowed'
  | OriginWide

const REWRITTEN: ReadonlySet<string> = new Set<string>([
  ...ORIGIN_WIDE,
  'location',
  'content-location',
  'refresh',
  'link',
  'set-cookie',
  'service-worker-allowed',
])

/** @param name lower case */
export const isRewritten = (name: string): name is Rewritten => REWRITTEN.has(name)

/** `5; url=/login`, with the URL in quotes or bare: browsers take all three. */
const refresh = (facts: RewriteFacts, value: string): string =>
  value.replace(
    /^(\s*[\d.]+\s*[;,]\s*url\s*=\s*)(["']?)([^"']*)/i,
    (_, before: string, quote: string, to: string) => before + quote + url(facts, to),
  )

/** `</a.css>; rel=preload, </b>`: only the targets, which open each entry (RFC 8288 3). */
const links = (facts: RewriteFacts, value: string): string =>
  value.replace(/(^\s*|,\s*)<([^>]*)>/g, (_, before: string, to: string) => `${before}<${url(facts, to)}>`)

/**
 * The other direction, for WebDAV (RFC 4918 10.3 and 10.4): a request names further resources by the URLs that the
 * client knows, and the container knows them without the prefix. What is not below the prefix stays.
 * @param prefixes `/app/~web` and `/~web`: a proxy in front may or may not take its own off such a URL
 * @param name lower case
 */
export function rewriteRequestHeader(prefixes: readonly string[], name: string, value: string): string {
  if (name === 'destination') return above(prefixes, value)
  return name === 'if' ? value.replace(/<([^>]*)>/g, (_, to: string) => `<${above(prefixes, to)}>`) : value
}

function above(prefixes: readonly string[], value: string): string {
  const [, origin = '', path = ''] = /^(https?:\/\/[^/?#]*)?(\/.*)$/i.exec(value) ?? []
  const prefix = prefixes.find((p) => path.startsWith(`${p}/`))
  return prefix === undefined ? value : origin + path.slice(prefix.length)
}

function url({ prefix, host, forwardedHost = host, endpoint }: RewriteFacts, value: string): string {
  const [, authority = '', path = ''] = /^(?:https?:)?\/\/([^/?#]*)(.*)$/i.exec(value) ?? []
  if (authority === '') return value.startsWith('/') ? below(prefix, value) : value
  const same = [host, forwardedHost, endpoint, endpoint.replace(/:80$/, '')].some(
    (o) => o.toLowerCase() === authority.toLowerCase(),
  )
  return same ? below(prefix, path.startsWith('/') ? path : `/${path}`) : value
}

/**
 * Without Path, a browser takes the folder of the request, which has the prefix. Of several it takes the last
 * (RFC 6265 5.3), so each is moved: all containers below `/~` share one origin, and none gets another's requests.
 */
const cookie = ({ prefix }: RewriteFacts, value: string): string =>
  value.replace(/(;\s*path\s*=\s*"?)(\/[^;]*)/gi, (_, key: string, path: string) => key + below(prefix, path))

/**
 * A service worker sees the requests of its whole scope, so that must not reach above the prefix. The browser
 * resolves dot segments, and a path that is relative from the script's URL, which is not known here.
 */
function scope({ prefix }: RewriteFacts, value: string): string {
  const resolved = URL.parse(value, `http://gateway${prefix}/`)
  return resolved === null ? `${prefix}/` : below(prefix, resolved.pathname)
}

const below = (prefix: string, path: string): string =>
  path === prefix || path.startsWith(`${prefix}/`) ? path : prefix + path
