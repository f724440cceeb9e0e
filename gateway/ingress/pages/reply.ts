/** Sends pages of the gateway, also while the body of the request still arrives. */

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { hasBody, headerLines } from '../headers.ts'
import { type Form, formOf } from './accept.ts'
import { PAGE_HEADERS } from './html.ts'
import { type Problem, renderProblem, STATUS_OF } from './problem.ts'

const TYPES: Readonly<Record<Form, string>> = {
  html: 'text/html; charset=utf-8',
  json: 'application/json',
  text: 'text/plain; charset=utf-8',
}

/** How long a client that was answered early may go on sending, so that it reads the answer and not a reset. */
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

export function sendProblem(req: IncomingMessage, res: ServerResponse, problem: Problem): void {
  const { status, form, text, headers } = problemPage(req.headers.accept, problem)
  sendPage(req, res, status, form, text, headers)
}

interface ProblemPage {
  readonly status: number
  readonly form: Form
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

/** Programs that take anything, such as curl, get plain text. */
function problemPage(accept: string | undefined, problem: Problem): ProblemPage {
  const { reason } = problem
  const form = formOf(accept, 'text')
  const headers = {
    ...((reason === 'gone' || reason === 'busy') && { 'retry-after': '1' }),
    ...(reason === 'method' && { allow: 'GET, HEAD' }),
    ...(reason === 'tunnel' && { allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' }),
  }
  return { status: STATUS_OF[reason], form, text: renderProblem(problem, form), headers }
}

/** The same page as a whole message, for the fast path. */
export function problemMessage(
  { accept, isHead, close }: { accept: string | undefined; isHead: boolean; close: boolean },
  problem: Problem,
): { readonly status: number; readonly message: Buffer } {
  const { status, form, text, headers } = problemPage(accept, problem)
  const fields = {
    ...PAGE_HEADERS,
    'content-type': TYPES[form],
    'content-length': String(Buffer.byteLength(text)),
    ...headers,
    date: new Date().toUTCString(),
    ...(close && { connection: 'close' }),
  }
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headerLines(Object.entries(fields).flat())}\r\n`
  return { status, message: Buffer.from(isHead ? head : head + text) }
}

/** `complete` alone is not enough: during 'request' it is false for requests without a body too. */
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
