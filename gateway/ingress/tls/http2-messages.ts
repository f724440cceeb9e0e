/** Requests and answers of HTTP/2, in the shape that the handlers of HTTP/1.1 know. */

import {
  constants,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import type { ReadableOptions } from 'node:stream'

/**
 * What the header list of HTTP/2 says in HTTP/1.1. Pure.
 *
 * RFC 9113 8.3.1: `:authority` becomes Host; with both, a handler finds two Hosts unless they agree, and refuses.
 * 8.2.3: one Cookie field. A body without a length is sent on in chunks, so it has to be known that there is one.
 */
export function asHttp1(raw: readonly string[], hasMore: boolean): string[] {
  const out: string[] = []
  const cookies: string[] = []
  let authority: string | undefined
  let hasLength = false
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    const value = raw[i + 1]!
    if (name === ':authority') authority = value
    else if (name === 'cookie') cookies.push(value)
    else if (!name.startsWith(':')) out.push(name, value)
    if (name === 'content-length') hasLength = true
  }
  const hosts = out.filter((_, i) => i % 2 === 1 && out[i - 1] === 'host')
  if (authority !== undefined && !hosts.includes(authority)) out.unshift('host', authority)
  if (cookies.length > 0) out.push('cookie', cookies.join('; '))
  if (hasMore && !hasLength) out.push('transfer-encoding', 'chunked')
  return out
}

export class Http2Request extends Http2ServerRequest {
  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    options: ReadableOptions,
    rawHeaders: readonly string[],
  ) {
    const host = headers.host ?? headers[':authority']
    // With its pseudo-headers, which Node reads method and path from.
    if (host !== undefined) headers.host = host
    super(stream, headers, options, asHttp1(rawHeaders, !stream.endAfterHeaders))
  }
}

type HeaderFields = Readonly<Record<string, unknown>> | readonly string[]

export class Http2Response extends Http2ServerResponse {
  constructor(stream: ServerHttp2Stream) {
    super(stream)
    Object.defineProperties(this, {
      // Node's class lacks it.
      destroyed: { get: () => stream.destroyed },
      // Node ends what the client resets, which then counts as finished.
      writableFinished: { get: () => stream.writableFinished && !stream.aborted },
      // Trailers need no coding here.
      chunkedEncoding: { value: true },
    })
  }

  /** Without reason phrase and Connection, which HTTP/2 does not have. */
  override writeHead(status: number, ...more: unknown[]): this {
    const fields = more.at(-1)
    super.writeHead(
      status,
      (typeof fields === 'object' ? withoutConnection(fields as HeaderFields) : {}) as never,
    )
    return this
  }

  override addTrailers(pairs: never): void {
    super.addTrailers(Object.fromEntries(pairs as readonly (readonly [string, string])[]))
  }

  writeProcessing(): void {
    this.stream.additionalHeaders({ [constants.HTTP2_HEADER_STATUS]: 102 })
  }

  /** An answer to HEAD, and one of a status without a body, ended with its headers. */
  override end(...args: unknown[]): this {
    const isHead = this.req.method === 'HEAD' || (this.headersSent && this.stream.writableEnded)
    super.end(...((isHead ? [] : args) as []))
    return this
  }

  /** What was broken off must not look whole: RST_STREAM with an error (RFC 9113 8.1). */
  override destroy(err?: Error): this {
    if (!this.stream.destroyed)
      this.stream.destroy(err ?? (this.writableEnded ? undefined : new Error('the answer was broken off')))
    return this
  }
}

function withoutConnection(fields: HeaderFields): HeaderFields {
  if (Array.isArray(fields)) {
    const list = fields as readonly string[]
    return list.filter((_, i) => list[i - (i % 2)]!.toLowerCase() !== 'connection')
  }
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name.toLowerCase() !== 'connection'))
}
