/**
 * One HTTP/1.1 exchange over the gateway's Unix socket, by system calls alone: loading node:http would cost the
 * plugin more than the rest of its work (measured: 33 ms; node:net 4, and 2.8 of an ADD on Bun; this 0.3).
 */

import { monotonic } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import { UnixStream } from '../kernel/unix-stream.ts'

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
/** How long the thread waits before it lets others run. */
const SLICE_MS = 20

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
 * Waits by poll(2), in this process's only thread: the event loop and its sockets would cost more than the exchange.
 * @throws {FlatnetError} ERR_FLATNET_IO: no listener, the connection broke, or `timeoutMs` passed
 */
export async function exchange(
  endpoint: Endpoint,
  method: string,
  path: string,
  body?: string,
): Promise<Answer> {
  // An absolute bound: a gateway that trickles bytes must not delay the container either.
  const deadline = monotonic() + endpoint.timeoutMs
  try {
    using stream = new UnixStream(endpoint.socketPath)
    return await converse(stream, Buffer.from(requestText(method, path, body)), deadline)
  } catch (err) {
    const what =
      err instanceof Unanswered
        ? (err.what ?? `gave no answer within ${endpoint.timeoutMs} ms`)
        : 'could not be reached'
    const cause = err instanceof Unanswered ? err.cause : err
    throw new FlatnetError('ERR_FLATNET_IO', `the gateway at ${endpoint.socketPath} ${what}`, { cause })
  }
}

/** Connected, but without an answer; without `what`, the time was up. */
class Unanswered extends Error {
  readonly what: string | undefined
  constructor(what?: string, options?: ErrorOptions) {
    super(what, options)
    this.what = what
  }
}

async function converse(stream: UnixStream, request: Buffer, deadline: number): Promise<Answer> {
  let answer = Buffer.alloc(0)
  for (let sent = stream.write(request); ; ) {
    const left = deadline - monotonic()
    if (left <= 0) throw new Unanswered()
    const isReadable = stream.wait(Math.min(left, SLICE_MS), sent < request.length)
    if (isReadable) {
      const chunk = stream.read()
      if (chunk === undefined) continue
      answer = Buffer.concat([answer, chunk])
      const complete = understood(answer, chunk.length === 0)
      if (complete !== undefined) return complete
    } else if (sent < request.length) {
      sent += stream.write(request.subarray(sent))
    } else {
      // In tests the gateway runs in this process and needs the thread to answer.
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
  }
}

function understood(bytes: Buffer, ended: boolean): Answer | undefined {
  if (bytes.length > MAX_ANSWER_BYTES) throw new Unanswered('sent too much')
  let answer: Answer | undefined
  try {
    answer = parseAnswer(bytes, ended)
  } catch (cause) {
    throw new Unanswered('sent something else', { cause })
  }
  if (answer === undefined && ended) throw new Unanswered('closed the connection without an answer')
  return answer
}
