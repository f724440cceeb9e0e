/** One HTTP request to the router: no redirect is followed, what is read is bounded, and so is the wait. */

import { request } from 'node:http'
import type { Millis } from '../../../../core/clock.ts'
import type { SoapRequest } from './igd.ts'
import { refusalBy } from './refusal.ts'
import type { Refusal, RouterPlace } from './types.ts'

/** Descriptions of routers are 2 to 20 KB. */
const MAX_BYTES = 65_536
const MAX_HEADER_BYTES = 8_192
/** Slow routers take a second for an order. */
const WAIT_MS: Millis = 3_000

export type HttpAnswer = { readonly status: number; readonly text: string } | Refusal

/**
 * @param url on the gateway's own address, as `igd.ts` checks
 * @param order absent: a GET
 */
export function askHttp(
  url: string,
  { ownAddress }: Pick<RouterPlace, 'ownAddress'>,
  signal: AbortSignal,
  order?: SoapRequest,
): Promise<HttpAnswer> {
  const { promise, resolve } = Promise.withResolvers<HttpAnswer>()
  const { soapAction, body } = order ?? {}
  const asked = request(url, {
    method: body === undefined ? 'GET' : 'POST',
    agent: false,
    localAddress: ownAddress,
    maxHeaderSize: MAX_HEADER_BYTES,
    signal: AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)]),
    headers: {
      connection: 'close',
      ...(body !== undefined && {
        'content-type': 'text/xml; charset="utf-8"',
        'content-length': Buffer.byteLength(body),
        soapaction: soapAction,
      }),
    },
  })
  asked.on('error', (err) => resolve(refusalBy(err)))
  // Without this a 101 would end the connection without an event, and nothing would be left for the time-out to end.
  asked.on('upgrade', (_response, socket) => {
    resolve({ refused: 'it switches protocols' })
    socket.destroy()
  })
  asked.on('response', (response) => {
    const chunks: Buffer[] = []
    let size = 0
    response.on('error', (err) => resolve(refusalBy(err)))
    response.on('data', (chunk: Buffer) => {
      size += chunk.byteLength
      if (size > MAX_BYTES) {
        resolve({ refused: `more than ${MAX_BYTES} bytes` })
        asked.destroy()
      } else chunks.push(chunk)
    })
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
    )
  })
  asked.end(body)
  return promise
}
