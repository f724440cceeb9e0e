/** Answers on the bare socket what Node's parser has refused, and says which rule refused it. */

import type { Duplex } from 'node:stream'
import type { ParserError } from '../fast/server.ts'
import type { Reason } from './problem.ts'
import { problemMessage } from './reply.ts'

const CHUNK_LINE = 'a line of a chunk ends in LF alone: other servers may see another end of the body'
const CHUNK_SIZE = 'the size of a chunk is not hexadecimal digits alone'
const CHUNK_EXTENSION = 'the extension of a chunk is not a list of names and values'

/** By the parser's words, where a person would not understand them. */
const RULES: Readonly<Record<string, string>> = {
  'Invalid method encountered': 'the method is not a token, or the request is not HTTP',
  'Expected HTTP/, RTSP/ or ICE/': 'the target has a blank in it, or "HTTP/1.1" does not follow it',
  'Invalid HTTP version': 'the version is neither HTTP/1.1 nor HTTP/1.0',
  'Expected CRLF after version': 'lines end in LF alone and in CRLF: other servers may see other lines',
  'Missing expected CR after header value':
    'lines end in LF alone and in CRLF: other servers may see other lines',
  'Missing expected LF after header value': 'a field has a CR in its value',
  'Invalid character in chunk size': CHUNK_SIZE,
  'Chunk size overflow': 'the size of a chunk is too large',
  'Missing expected CR after chunk size': CHUNK_LINE,
  'Missing expected CR after chunk data': CHUNK_LINE,
  'Missing expected CR after chunk extension name': CHUNK_LINE,
  'Missing expected CR after chunk extension value': CHUNK_LINE,
  'Expected LF after chunk size': 'the size of a chunk has a CR behind it that ends no line',
  'Expected LF after chunk data': 'a chunk has no line end behind it: its size may be wrong',
  'Invalid character in chunk extensions': CHUNK_EXTENSION,
  'Invalid character in chunk extensions name': CHUNK_EXTENSION,
  'Invalid character in chunk extensions value': CHUNK_EXTENSION,
  'Invalid char in url query': 'the target has a character that must be percent-encoded',
  'Invalid characters in url': 'the target is neither a path nor an http URL',
  'Invalid char in url path': 'the target has a character that must be percent-encoded',
  'Duplicate Content-Length': 'Content-Length stands there twice',
  'Invalid character in Content-Length': 'Content-Length is not a number',
  'Empty Content-Length': 'Content-Length is not a number',
  'Content-Length overflow': 'Content-Length is too large',
  "Transfer-Encoding can't be present with Content-Length":
    'Transfer-Encoding and Content-Length exclude each other',
  "Content-Length can't be present with Transfer-Encoding":
    'Transfer-Encoding and Content-Length exclude each other',
  'Request has invalid `Transfer-Encoding`': 'the last coding of Transfer-Encoding must be chunked',
  'Invalid `Transfer-Encoding` header value':
    'chunked must be the last coding of Transfer-Encoding, and stand there once',
  'Unexpected whitespace after header value': 'a field is folded over two lines',
  'Unexpected space after start line': 'a field is folded over two lines',
  'Invalid header token': 'a field is not a name, a colon and a value, or has a blank before its colon',
  'Invalid header value char': 'a field has a control character in its value',
  'Invalid EOF state': 'the client ended its side within the request',
  'Pause on PRI/Upgrade': 'HTTP/2 without TLS is not served',
  'Data after `Connection: close`': 'a request follows one that said "Connection: close"',
}

const REASONS: Readonly<Record<string, Reason>> = {
  HPE_HEADER_OVERFLOW: 'long-head',
  ERR_HTTP_REQUEST_TIMEOUT: 'client-stalled',
}

export function answerRefused(socket: Duplex, err: ParserError, hostId: number): void {
  const reason = REASONS[err.code ?? ''] ?? 'bad-request'
  const own = err.reason ?? err.message
  const rule = RULES[own] ?? own
  answerBare(socket, reason, hostId, reason === 'bad-request' ? `A rule refuses it: ${rule}.` : undefined)
}

/** The connection ends with it. */
export function answerBare(socket: Duplex, reason: Reason, hostId: number, detail?: string): void {
  socket.on('error', () => {})
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const client = { accept: undefined, isHead: false, close: true }
  const { message } = problemMessage(client, { reason, hostId, detail })
  socket.end(message, () => socket.destroy())
}
