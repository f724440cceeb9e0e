/** Which headers cross the gateway, in both directions. Pure: raw name-value lists in, raw lists out. */

/** `[name, value, name, value, …]` as Node has it: order, case and repetition survive. */
export type RawHeaders = readonly string[]

/** RFC 9110 7.6.1 and the older names that clients still send. TE and Trailer have rules of their own below. */
const HOP_BY_HOP = new Set([
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
])

/** Many servers read `X_Forwarded_For` as the same variable as `X-Forwarded-For`. */
const OURS = /^x[-_](?:flatnet[-_].*|forwarded[-_](?:for|host|proto|port|prefix))$/

/** Fields that say how a message is framed or where it goes must not come after its body (RFC 9110 6.5.1). */
const NOT_IN_TRAILERS =
  /^(?:content-(?:length|encoding|type|range)|host|set-cookie|authorization|cookie|location|cache-control|expect|te|trailer|age|date|vary|www-authenticate|max-forwards)$/

export interface RequestFacts {
  readonly rawHeaders: RawHeaders
  /** `GET` … */
  readonly method: string
  /** As the client sees the gateway, Host header raw; undefined with HTTP/1.0. */
  readonly host: string | undefined
  readonly clientAddress: string
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

/** Names that a Connection header makes hop-by-hop, lower case. */
function namedByConnection(raw: RawHeaders): Set<string> {
  return new Set(valuesOf(raw, 'connection').flatMap((v) => v.split(',').map((t) => t.trim().toLowerCase())))
}

export function valuesOf(raw: RawHeaders, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < raw.length; i += 2) if (raw[i]!.toLowerCase() === name) values.push(raw[i + 1]!)
  return values
}

/** A gateway that finds itself in the list has sent this request before. */
export const hasLooped = (raw: RawHeaders, hostId: number): boolean => viaList(raw).includes(String(hostId))

const viaList = (raw: RawHeaders): string[] =>
  valuesOf(raw, 'x-flatnet-via').flatMap((v) =>
    v
      .split(',')
      .map((t) => t.trim())
      .filter((t) => t !== ''),
  )

/** True when a body follows; otherwise the message ends with its headers (RFC 9112 6.3). */
export function hasBody(raw: RawHeaders): boolean {
  return valuesOf(raw, 'transfer-encoding').length > 0 || Number(valuesOf(raw, 'content-length')[0] ?? 0) > 0
}

export function requestHeaders(facts: RequestFacts): string[] {
  const { rawHeaders, method, host, upgrade } = facts
  const named = namedByConnection(rawHeaders)
  const isChunked = valuesOf(rawHeaders, 'transfer-encoding').length > 0
  const out = ['Host', host ?? facts.endpoint]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    if (name === 'host' || name === 'content-length' || name === 'via' || OURS.test(name)) continue
    if (HOP_BY_HOP.has(name) || named.has(name)) continue
    out.push(rawHeaders[i]!, rawHeaders[i + 1]!)
  }
  out.push(...framing(rawHeaders, method, isChunked), ...forwarded(facts))
  // TE is hop-by-hop, and we do pass trailers on (gRPC asks for it).
  if (valuesOf(rawHeaders, 'te').some((v) => /\btrailers\b/i.test(v))) out.push('TE', 'trailers')
  if (isChunked) for (const v of valuesOf(rawHeaders, 'trailer')) out.push('Trailer', v)
  if (upgrade !== undefined) out.push('Connection', 'Upgrade', 'Upgrade', upgrade)
  return out
}

/** Always explicit: left alone, Node would chunk a POST without a body and send a DELETE's body without framing. */
function framing(raw: RawHeaders, method: string, isChunked: boolean): string[] {
  if (isChunked) return ['Transfer-Encoding', 'chunked']
  const [length] = valuesOf(raw, 'content-length')
  if (length !== undefined) return ['Content-Length', length]
  return method === 'POST' || method === 'PUT' || method === 'PATCH' ? ['Content-Length', '0'] : []
}

function forwarded(facts: RequestFacts): string[] {
  const { rawHeaders, host, hostId } = facts
  const client = facts.clientAddress.replace(/^::ffff:(?=\d+\.)/, '')
  const [, port] = /:(\d{1,5})$/.exec(host ?? '') ?? []
  const publicPort = port ?? (host === undefined ? String(facts.localPort) : '80')
  return [
    ...['X-Forwarded-For', [...valuesOf(rawHeaders, 'x-forwarded-for'), client].join(', ')],
    ...(host === undefined ? [] : ['X-Forwarded-Host', host]),
    ...['X-Forwarded-Proto', 'http', 'X-Forwarded-Port', publicPort],
    ...(facts.prefix === '' ? [] : ['X-Forwarded-Prefix', facts.prefix]),
    ...['X-Flatnet-Via', [...viaList(rawHeaders), String(hostId)].join(', ')],
    ...['Via', [...valuesOf(rawHeaders, 'via'), `1.1 flatnet-${hostId}`].join(', ')],
  ]
}

export interface ResponseFacts {
  readonly rawHeaders: RawHeaders
  readonly hostId: number
  /** Whether a chunked body with trailers may follow. */
  readonly trailersFit: boolean
  /** Rewrites what points into the container's own path space; undefined when it is the client's as well. */
  readonly rewrite?:
    | ((name: 'location' | 'content-location' | 'set-cookie', value: string) => string)
    | undefined
}

export function responseHeaders({ rawHeaders, hostId, trailersFit, rewrite }: ResponseFacts): string[] {
  const named = namedByConnection(rawHeaders)
  const out: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    const value = rawHeaders[i + 1]!
    if (name === 'trailer' && trailersFit) out.push(rawHeaders[i]!, value)
    if (HOP_BY_HOP.has(name) || named.has(name)) continue
    const isRewritten = name === 'location' || name === 'content-location' || name === 'set-cookie'
    out.push(rawHeaders[i]!, isRewritten && rewrite !== undefined ? rewrite(name, value) : value)
  }
  out.push('Via', `1.1 flatnet-${hostId}`)
  return out
}

/** As pairs, for addTrailers; fields that do not belong there are dropped. */
export function trailers(raw: RawHeaders): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (!HOP_BY_HOP.has(name) && !NOT_IN_TRAILERS.test(name) && !OURS.test(name))
      pairs.push([raw[i]!, raw[i + 1]!])
  }
  return pairs
}
