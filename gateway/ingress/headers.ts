/** Which headers cross the gateway, in both directions: raw lists in, raw lists out. Pure. */

import { forwardedFor, isForwarded, prefixSaid, schemeSaid } from './forwarded.ts'
import { type RawHeaders, splitList, valuesOf } from './raw-headers.ts'
import { isRewritten, type Rewrite, rewriteRequestHeader } from './rewrite.ts'

/** RFC 9110 7.6.1 and the older names that clients still send. TE and Trailer have rules of their own below. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  // Servers that make variables of fields read them as the fields that frame a body.
  'content_length',
  'transfer_encoding',
])

/** Many servers read `X_Forwarded_For` as the same variable as `X-Forwarded-For`. */
const OURS = /^x[-_](?:flatnet[-_].*|forwarded[-_](?:for|host|proto|port|prefix))$/

export interface RequestFacts {
  readonly rawHeaders: RawHeaders
  /** `GET` … */
  readonly method: string
  /** The client's Host header, raw; undefined with HTTP/1.0. */
  readonly host: string | undefined
  readonly clientAddress: string
  /** The client is one of `ingress.trustedProxies`. */
  readonly isTrusted?: boolean
  /** The client came by HTTPS. */
  readonly isSecure?: boolean
  /** Of the gateway's listener, for clients that send no Host. */
  readonly localPort: number
  readonly hostId: number
  /** `/~web` or empty. */
  readonly prefix: string
  /** `10.100.1.10:80`, for clients that send no Host. */
  readonly endpoint: string
  /** Value of Upgrade to pass on; undefined for everything that is no upgrade. */
  readonly upgrade?: string | undefined
}

export const isOurs = (lower: string): boolean => lower.startsWith('x') && OURS.test(lower)

/**
 * As it is, of a trusted proxy; the names that servers read alike but spell with `_` are dropped from it too, and lists
 * to extend are written anew.
 */
const isKept = (name: string): boolean => !name.includes('_') && name !== 'x-forwarded-prefix'

/** Names that a Connection header makes hop-by-hop, lower case; undefined: none. */
function namedByConnection(raw: RawHeaders): Set<string> | undefined {
  let named: Set<string> | undefined
  for (let i = 0; i < raw.length; i += 2) {
    // A name of another length is a different name.
    if (raw[i]!.length !== 10 || raw[i]!.toLowerCase() !== 'connection') continue
    const value = raw[i + 1]!.toLowerCase()
    if (value === 'close' || value === 'keep-alive') continue
    named ??= new Set()
    for (const name of splitList(value)) named.add(name)
  }
  return named
}

/** A gateway that finds itself in the list has sent this request before. */
export const hasLooped = (raw: RawHeaders, hostId: number): boolean => viaList(raw).includes(String(hostId))

const viaList = (raw: RawHeaders): string[] => valuesOf(raw, 'x-flatnet-via').flatMap(splitList)

/** True when a body follows; otherwise the message ends with its headers (RFC 9112 6.3). */
export function hasBody(raw: RawHeaders): boolean {
  return valuesOf(raw, 'transfer-encoding').length > 0 || Number(valuesOf(raw, 'content-length')[0] ?? 0) > 0
}

/**
 * RFC 9112 6.1 and 7: the gateway decodes `chunked` and nothing else, so a request with more codings must not reach a
 * container, which would take the coded bytes for the body.
 */
export function codingProblem(
  raw: RawHeaders,
  isHttp10: boolean,
): readonly ['coding' | 'bad-request', string] | undefined {
  const values = valuesOf(raw, 'transfer-encoding')
  if (values.length === 0) return undefined
  if (isHttp10)
    return [
      'bad-request',
      'Transfer-Encoding in a request of HTTP/1.0: other servers would not see its body.',
    ]
  const codings = splitList(values.join(',').toLowerCase())
  if (codings.length === 1 && codings[0] === 'chunked') return undefined
  const shown = `Transfer-Encoding is "${values.join(', ')}"`
  return codings.filter((c) => c === 'chunked').length > 1 || codings.at(-1) !== 'chunked'
    ? ['bad-request', `${shown}: the last coding must be chunked, and it must stand there once.`]
    : [
        'coding',
        `${shown}: send the body with "chunked" alone, and say how it is packed in Content-Encoding.`,
      ]
}

/** In one pass, as each request to a container comes through here. */
export function requestHeaders(facts: RequestFacts): string[] {
  const { rawHeaders, method, host, prefix, isTrusted = false, upgrade } = facts
  const outerPrefix = isTrusted ? prefixSaid(rawHeaders) : ''
  const prefixes = [outerPrefix + prefix, prefix]
  const named = namedByConnection(rawHeaders)
  const out = ['Host', host ?? facts.endpoint]
  const seen: Seen = {
    via: '',
    forwardedFor: '',
    forwarded: '',
    flatnetVia: '',
    kept: new Set(),
    codings: '',
    length: undefined,
  }
  const late: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!
    if (isForwarded(name)) noteForwarded(seen, out, facts, rawHeaders[i]!, value)
    else if (PASSED_ANEW.has(name)) note(seen, late, name, value)
    else if (!HOP_BY_HOP.has(name) && !isOurs(name) && named?.has(name) !== true)
      out.push(rawHeaders[i]!, prefix === '' ? value : rewriteRequestHeader(prefixes, name, value))
  }
  framing(out, method, seen)
  forwarded(out, facts, seen, outerPrefix)
  for (let i = 0; i < late.length; i += 2)
    if (late[i] === 'TE' || seen.codings !== '') out.push(late[i]!, late[i + 1]!)
  if (upgrade !== undefined) out.push('Connection', 'Upgrade', 'Upgrade', upgrade)
  return out
}

/** Fields that are removed from a request and added again, changed or not. */
interface Seen {
  /** Lists, each entry with `, ` behind it. */
  via: string
  forwardedFor: string
  forwarded: string
  flatnetVia: string
  /** Fields of a trusted proxy that are passed on, lower case. */
  kept: Set<string>
  /** Of Transfer-Encoding; empty: there is none. */
  codings: string
  /** The first Content-Length. */
  length: string | undefined
}

const PASSED_ANEW = new Set([
  'host',
  'content-length',
  'via',
  'transfer-encoding',
  'te',
  'trailer',
  'x-flatnet-via',
])

function noteForwarded(
  seen: Seen,
  out: string[],
  { isTrusted = false }: RequestFacts,
  name: string,
  value: string,
): void {
  const lower = name.toLowerCase()
  if (!isTrusted || !isKept(lower)) return
  if (lower === 'x-forwarded-for') seen.forwardedFor += `${value}, `
  else if (lower === 'forwarded') seen.forwarded += `${value}, `
  else {
    seen.kept.add(lower)
    out.push(name, value)
  }
}

function note(seen: Seen, late: string[], name: string, value: string): void {
  switch (name) {
    case 'content-length':
      seen.length ??= value
      break
    case 'via':
      seen.via += `${value}, `
      break
    case 'transfer-encoding':
      // In any case by RFC 9112 7, but a server that compares bytes would take the body for the next request.
      seen.codings = splitList(`${seen.codings},${value.toLowerCase()}`).join(', ')
      break
    case 'te':
      // TE is hop-by-hop, and the gateway does pass trailers on (gRPC asks for it).
      if (!late.includes('TE') && /\btrailers\b/i.test(value)) late.unshift('TE', 'trailers')
      break
    case 'trailer':
      late.push('Trailer', value)
      break
    case 'x-flatnet-via':
      for (const id of splitList(value)) seen.flatnetVia += `${id}, `
  }
}

/** Always explicit: left alone, Node would chunk a POST without a body and send a DELETE's body without framing. */
function framing(out: string[], method: string, { codings, length }: Seen): void {
  if (codings !== '') out.push('Transfer-Encoding', codings)
  else if (length !== undefined) out.push('Content-Length', length)
  else if (!UNFRAMED.has(method)) out.push('Content-Length', '0')
}

/**
 * Without a length, Node's client makes a request with any other method a chunked one: old servers refuse a PROPFIND
 * like that.
 */
const UNFRAMED: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'])

function forwarded(
  out: string[],
  { rawHeaders, clientAddress, host, hostId, isTrusted, isSecure = false, localPort, prefix }: RequestFacts,
  seen: Seen,
  outerPrefix: string,
): void {
  const isMapped = clientAddress.startsWith('::ffff:') && clientAddress.includes('.')
  const address = isMapped ? clientAddress.slice(7) : clientAddress
  out.push('X-Forwarded-For', seen.forwardedFor + address)
  if (seen.forwarded !== '') out.push('Forwarded', seen.forwarded + forwardedFor(address))
  const publicPort = host === undefined ? String(localPort) : (portIn(host) ?? (isSecure ? '443' : '80'))
  const own = (name: string, value: string): void => {
    if (!seen.kept.has(name.toLowerCase())) out.push(name, value)
  }
  if (host !== undefined) own('X-Forwarded-Host', host)
  const said = isTrusted === true ? schemeSaid(rawHeaders) : undefined
  own('X-Forwarded-Proto', said ?? (isSecure ? 'https' : 'http'))
  // A trusted proxy that says a scheme and names no port has been reached on that of its scheme.
  if (said === undefined) own('X-Forwarded-Port', publicPort)
  if (outerPrefix + prefix !== '') out.push('X-Forwarded-Prefix', outerPrefix + prefix)
  out.push('X-Flatnet-Via', `${seen.flatnetVia}${hostId}`, 'Via', `${seen.via}1.1 flatnet-${hostId}`)
}

const portIn = (host: string): string | undefined =>
  host.includes(':') ? /:(\d{1,5})$/.exec(host)?.[1] : undefined

export interface ResponseFacts {
  readonly rawHeaders: RawHeaders
  readonly hostId: number
  /** Whether a chunked body with trailers may follow. */
  readonly trailersFit: boolean
  /** Rewrites what points into the container's own path space; undefined when the client has the same one. */
  readonly rewrite?: Rewrite | undefined
}

export function responseHeaders({ rawHeaders, hostId, trailersFit, rewrite }: ResponseFacts): string[] {
  const named = namedByConnection(rawHeaders)
  const out: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!
    if (name === 'trailer' && trailersFit) out.push(rawHeaders[i]!, value)
    if (HOP_BY_HOP.has(name) || named?.has(name) === true) continue
    const passed = rewrite !== undefined && isRewritten(name) ? rewrite(name, value) : value
    if (passed !== undefined) out.push(rawHeaders[i]!, passed)
  }
  out.push('Via', `1.1 flatnet-${hostId}`)
  return out
}

/** The lines of a message, each with its CRLF. */
export function headerLines(headers: RawHeaders): string {
  let lines = ''
  for (let i = 0; i < headers.length; i += 2) lines += `${headers[i]}: ${headers[i + 1]}\r\n`
  return lines
}
