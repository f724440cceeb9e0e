/**
 * One HTTP/1.1 exchange over the gateway's Unix socket, by node:net alone: loading node:http would cost the
 * plugin more than the rest of its work (measured: 33 ms against 4).
 */

import { connect } from 'node:net'
import { FlatnetError } from '../core/errors.ts'

export interface Endpoint {
  readonly socketPath: string
  /** Bound on the whole exchange, connect included, in ms. */
  readonly timeoutMs: number
}

export interface Answer {
  readonly status: number
  readonly body: string
}

/** An answer to an assignment is a few KiB even with 253 paths in it. */
const MAX_ANSWER_BYTES = 1024 * 1024

function requestText(method: string, path: string, body: string | undefined): string {
  const head = `${method} ${path} HTTP/1.1\r\nhost: flatnet\r\nconnection: close\r\n`
  if (body === undefined) return `${head}\r\n`
  return `${head}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** Undefined while the answer is incomplete. With `ended`, what came until the close counts as the body. */
export function parseAnswer(bytes: Buffer, ended: boolean): Answer | undefined {
  const text = bytes.toString('latin1')
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]
  if (status === undefined) throw new FlatnetError('ERR_FLATNET_IO', 'the gateway did not answer in HTTP')
  const head = text.slice(0, headEnd)
  const length = /^content-length:[ \t]*(\d+)[ \t]*$/im.exec(head)?.[1]
  const body = bytes.subarray(headEnd + 4)
  if (length !== undefined ? body.length < Number(length) : !ended && status !== '204') return undefined
  return { status: Number(status), body: body.toString('utf8') }
}

/**
 * @throws {FlatnetError} ERR_FLATNET_IO: nobody listens, the connection broke, or `timeoutMs` passed
 */
export function exchange(endpoint: Endpoint, method: string, path: string, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const socket = connect({ path: endpoint.socketPath })
    // An absolute bound: a gateway that trickles bytes must not hold the container either.
    const timer = setTimeout(() => fail(`gave no answer within ${endpoint.timeoutMs} ms`), endpoint.timeoutMs)
    const finish = (): void => {
      clearTimeout(timer)
      socket.destroy()
    }
    const fail = (what: string, cause?: unknown): void => {
      finish()
      reject(new FlatnetError('ERR_FLATNET_IO', `the gateway at ${endpoint.socketPath} ${what}`, { cause }))
    }
    const take = (ended: boolean): void => {
      try {
        const answer = parseAnswer(Buffer.concat(chunks), ended)
        if (answer !== undefined) {
          finish()
          resolve(answer)
        } else if (ended) fail('closed the connection without an answer')
      } catch (err) {
        fail('sent something else', err)
      }
    }
    socket.on('error', (err) => fail('could not be reached', err))
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_ANSWER_BYTES) return fail('sent too much')
      take(false)
    })
    socket.on('end', () => take(true))
    socket.write(requestText(method, path, body))
  })
}
