/** A container's answer on its way to a client of Node's server: headers, body and trailers. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IngressDeps } from './deps.ts'
import { responseHeaders } from './headers.ts'
import { isBodyOpen, lingerFor } from './pages/reply.ts'
import { valuesOf } from './raw-headers.ts'
import type { Rewrite } from './rewrite.ts'
import { trailers } from './trailers.ts'

export interface PassFacts {
  readonly deps: IngressDeps
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly response: IncomingMessage
  readonly rewrite: Rewrite | undefined
  /** The container stopped midway: the client sees a broken connection, never a short answer that looks whole. */
  onBroken(err: Error): void
  /** Nothing was sent yet, and this answer cannot be. */
  onUnusable(err: unknown): void
}

export function passResponse(facts: PassFacts): void {
  const { deps, req, res, response } = facts
  response.on('error', (err) => {
    if (!res.headersSent) facts.onUnusable(err)
    else {
      if (!res.destroyed) facts.onBroken(err)
      res.destroy()
    }
  })
  try {
    writeHead(facts)
  } catch (err) {
    response.destroy()
    facts.onUnusable(err)
    return
  }
  if (/^text\/event-stream\b/i.test(response.headers['content-type'] ?? '')) {
    const end = (): void => void res.destroy()
    deps.endless.add(res)
    // A browser leaves an event stream like this; other answers are still read, see server.ts.
    if (req.httpVersionMajor === 1) req.socket.once('end', end)
    res.on('close', () => {
      deps.endless.delete(res)
      if (req.httpVersionMajor === 1) req.socket.off('end', end)
    })
  }
  // Headers usually leave together with the first bytes. An event stream may have none for a while.
  setImmediate(() => {
    if (!res.destroyed && !res.writableEnded) res.flushHeaders()
  })
  response.on('end', () => {
    if (response.rawTrailers.length > 0 && res.chunkedEncoding)
      res.addTrailers(trailers(response.rawTrailers))
    res.end()
    lingerFor(req)
  })
  response.pipe(res, { end: false })
}

function writeHead({ deps, req, res, response, rewrite }: PassFacts): void {
  const status = response.statusCode ?? 502
  const headers = responseHeaders({
    rawHeaders: response.rawHeaders,
    hostId: deps.conf.hostId,
    trailersFit: mayHaveTrailers(req, response, status),
    rewrite,
  })
  // Answered before the body was read: what is left of it must not be taken for the next request.
  if (isBodyOpen(req)) headers.push('Connection', 'close')
  const message = response.statusMessage ?? ''
  // A reason phrase may hold bytes that Node refuses to send; clients ignore it (RFC 9112 4).
  if (/^[\t\x20-\x7e]*$/.test(message)) res.writeHead(status, message, headers)
  else res.writeHead(status, headers)
}

function mayHaveTrailers(req: IncomingMessage, response: IncomingMessage, status: number): boolean {
  return (
    req.method !== 'HEAD' &&
    status !== 204 &&
    status !== 304 &&
    req.httpVersion !== '1.0' &&
    valuesOf(response.rawHeaders, 'transfer-encoding').length > 0
  )
}

/** 103 and 102; 100 has its own handling, and HTTP/1.0 knows none of them. */
export function passEarly(
  req: IncomingMessage,
  res: ServerResponse,
  info: { readonly statusCode: number; readonly rawHeaders: readonly string[] },
  rewrite: Rewrite | undefined,
): void {
  if (req.httpVersion === '1.0' || res.headersSent || res.destroyed) return
  if (info.statusCode === 102) res.writeProcessing()
  if (info.statusCode !== 103) return
  const link = valuesOf(info.rawHeaders, 'link').map((value) => rewrite?.('link', value) ?? value)
  try {
    if (link.length > 0) res.writeEarlyHints({ link })
  } catch {
    // Node finds the hint malformed; the answer itself is still to come.
  }
}
