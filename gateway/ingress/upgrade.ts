/** Joins a client's and a container's connection after a 101; each direction ends by itself. */

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { responseHeaders } from './headers.ts'
import { isBodyOpen } from './pages/reply.ts'
import { type RawHeaders, splitList, valuesOf } from './raw-headers.ts'
import type { Rewrite } from './rewrite.ts'

/**
 * What a client offers to switch to, in however many lines. h2c is not passed on: the gateway could not read the
 * requests behind it.
 */
export const protocolsOf = (raw: RawHeaders): string[] =>
  splitList(valuesOf(raw, 'upgrade').join(',')).filter((protocol) => !/\bh2c?\b/i.test(protocol))

export interface JoinFacts {
  readonly hostId: number
  readonly req: IncomingMessage
  readonly client: Duplex
  /** Bytes that the client has sent after its request. */
  readonly clientHead: Buffer
  readonly response: IncomingMessage
  /** A 101 sets cookies as every answer does. */
  readonly rewrite: Rewrite | undefined
  readonly container: Socket
  /** Bytes that the container has sent after its 101. */
  readonly containerHead: Buffer
}

/** An error or an early close on one side ends the other at once; backpressure is left to `pipe`. */
export function join(facts: JoinFacts): void {
  const { req, client, clientHead, container, containerHead } = facts
  client.write(head(facts), 'latin1')
  if (containerHead.length > 0) client.write(containerHead)
  if (isBodyOpen(req)) passRest(req, container)
  if (clientHead.length > 0) container.write(clientHead)
  for (const [from, to] of [
    [client, container],
    [container, client],
  ] as const) {
    from.on('error', () => to.destroy())
    from.on('close', () => {
      // `pipe` has passed on a proper end, which may still be on its way out.
      if (!from.readableEnded) to.destroy()
    })
    from.pipe(to)
  }
}

/**
 * Of a body: this container has switched before it had all of it. Only after it does the client's stream give bytes.
 */
function passRest(req: IncomingMessage, container: Socket): void {
  const isChunked = valuesOf(req.rawHeaders, 'transfer-encoding').length > 0
  const go = (): void => void req.resume()
  req.unpipe()
  req.on('data', (bytes: Buffer) => {
    const framed = isChunked ? Buffer.concat([chunkHead(bytes), bytes, CRLF]) : bytes
    if (container.write(framed)) return
    req.pause()
    container.once('drain', go)
  })
  req.on('end', () => {
    if (isChunked) container.write('0\r\n\r\n')
  })
  req.resume()
}

const CRLF = Buffer.from('\r\n')
const chunkHead = (bytes: Buffer): Buffer => Buffer.from(`${bytes.length.toString(16)}\r\n`)

function head({ response, hostId, rewrite }: JoinFacts): string {
  const protocol = valuesOf(response.rawHeaders, 'upgrade').join(', ')
  const headers = ['Connection', 'Upgrade', 'Upgrade', protocol]
  headers.push(...responseHeaders({ rawHeaders: response.rawHeaders, hostId, trailersFit: false, rewrite }))
  let text = 'HTTP/1.1 101 Switching Protocols\r\n'
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`
  return `${text}\r\n`
}
