/** Sends a page of the gateway's own, whatever became of the request's body. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Form, formOf } from './accept.ts'
import { hasBody } from './headers.ts'
import { PAGE_HEADERS } from './html.ts'
import { type Problem, renderProblem, STATUS_OF } from './problem.ts'

const TYPES: Readonly<Record<Form, string>> = {
  html: 'text/html; charset=utf-8',
  json: 'application/json',
  text: 'text/plain; charset=utf-8',
}

/** How long a client that was answered early may go on sending its body, so that it reads the answer and no reset. */
const LINGER_MS = 2000

export function sendPage(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  form: Form,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(text)
  res.writeHead(status, {
    ...PAGE_HEADERS,
    'content-type': TYPES[form],
    'content-length': body.length,
    ...(isBodyOpen(req) && { connection: 'close' }),
    ...headers,
  })
  res.end(body)
  lingerFor(req)
}

/** Programs that take anything, such as curl, get plain text. */
export function sendProblem(req: IncomingMessage, res: ServerResponse, problem: Problem): void {
  const form = formOf(req.headers.accept, 'text')
  const headers = {
    ...((problem.reason === 'gone' || problem.reason === 'busy') && { 'retry-after': '1' }),
    ...(problem.reason === 'method' && { allow: 'GET, HEAD' }),
  }
  sendPage(req, res, STATUS_OF[problem.reason], form, renderProblem(problem, form), headers)
}

/** `complete` alone will not do: while the request is being announced it is false for requests without a body too. */
export const isBodyOpen = (req: IncomingMessage): boolean => !req.complete && hasBody(req.rawHeaders)

/** Reads and drops the rest of a body, bounded in time; a connection with half a body in it cannot be used again. */
export function lingerFor(req: IncomingMessage): void {
  if (!isBodyOpen(req)) return
  req.unpipe()
  req.resume()
  const timer = setTimeout(() => req.socket.destroy(), LINGER_MS)
  const done = (): void => clearTimeout(timer)
  req.once('end', done)
  req.once('close', done)
}
