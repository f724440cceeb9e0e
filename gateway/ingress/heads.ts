/** Strict readers of HTTP/1.1 heads for the short way: what they do not take is left to Node's parser, or refused. Pure. */

export interface RequestHead {
  readonly method: string
  /** In origin-form. */
  readonly target: string
  readonly rawHeaders: string[]
  /** Value of the one Host header, raw. */
  readonly host: string
  readonly accept: string | undefined
  /** Where the body starts. */
  readonly end: number
  /** Of the body; 0 without one. */
  readonly length: number
  /** The client wants the connection closed after the answer. */
  readonly close: boolean
}

export interface ResponseHead {
  readonly status: number
  readonly message: string
  readonly rawHeaders: string[]
  readonly framing: 'length' | 'chunked' | 'close'
  /** Of the body, when that is its framing. */
  readonly length: number
  /** The connection may serve again after it. */
  readonly keepsAlive: boolean
  /** An event stream, which has no end of its own. */
  readonly isEvents: boolean
  readonly hasDate: boolean
}

const END = Buffer.from('\r\n\r\n')

/** Of a request; longer ones are rare, and Node's parser has the configured limit. */
const MAX_REQUEST_HEAD = 8192

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
const FIELDS = `(?:${TOKEN}:[\\t\\x20-\\x7e\\x80-\\xff]*\\r\\n)*`
const REQUEST = new RegExp(
  `^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[\\x21-\\x22\\x24-\\x7e]*) HTTP/1\\.1\\r\\n${FIELDS}$`,
)
const RESPONSE = new RegExp(
  `^HTTP/1\\.([01]) ([1-9]\\d\\d)(?: ([\\t\\x20-\\x7e\\x80-\\xff]*))?\\r\\n${FIELDS}$`,
)
const TRAILERS = new RegExp(`^${FIELDS}$`)

/**
 * Requests whose head is not all there, or that need more than to be passed on: bodies without a length, upgrades,
 * 100-continue, trailers, requests that have passed a gateway. The grammar is a part of what Node's parser takes, with
 * the same meaning, so that there is no second reading of any request.
 */
const LEFT_TO_NODE = new Set([
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'http2-settings',
  'proxy-connection',
  'keep-alive',
  'x-flatnet-via',
])

/** @returns undefined: to be left to Node's parser, right or wrong */
export function readRequest(bytes: Buffer): RequestHead | undefined {
  const end = bytes.indexOf(END)
  if (end < 0 || end > MAX_REQUEST_HEAD) return undefined
  const text = bytes.toString('latin1', 0, end + 2)
  const match = REQUEST.exec(text)
  if (match === null) return undefined
  const rawHeaders = fieldsOf(text, text.indexOf('\n') + 1)
  let host: string | undefined
  let accept: string | undefined
  let length: number | undefined
  let close = false
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const value = rawHeaders[i + 1]!
    const name = rawHeaders[i]!.toLowerCase()
    if (LEFT_TO_NODE.has(name)) return undefined
    if (name === 'host') {
      if (host !== undefined) return undefined
      host = value
    } else if (name === 'content-length') {
      if (length !== undefined || !LENGTH.test(value)) return undefined
      length = Number(value)
    } else if (name === 'connection') {
      const option = value.toLowerCase()
      if (option !== 'keep-alive' && option !== 'close') return undefined
      close ||= option === 'close'
    } else if (name === 'accept') accept = accept === undefined ? value : `${accept}, ${value}`
  }
  if (host === undefined) return undefined
  const [, method = '', target = ''] = match
  return { method, target, rawHeaders, host, accept, end: end + 4, length: length ?? 0, close }
}

/** What Number holds exactly. */
const LENGTH = /^\d{1,15}$/

/** @param text status line and fields, each with its CRLF @returns undefined: no HTTP/1.1 that could be passed on */
export function readResponse(text: string): ResponseHead | undefined {
  const match = RESPONSE.exec(text)
  if (match === null) return undefined
  const [, minor, status, message = ''] = match
  const rawHeaders = fieldsOf(text, text.indexOf('\n') + 1)
  let keepsAlive = minor === '1'
  let length: string | undefined
  let coding: string | undefined
  let isEvents = false
  let hasDate = false
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const value = rawHeaders[i + 1]!
    switch (rawHeaders[i]!.toLowerCase()) {
      case 'content-length':
        if (length !== undefined) return undefined
        length = value
        break
      case 'transfer-encoding':
        if (coding !== undefined) return undefined
        coding = value.toLowerCase()
        break
      case 'connection':
        if (/\bclose\b/i.test(value)) keepsAlive = false
        break
      case 'content-type':
        isEvents = /^text\/event-stream\b/i.test(value)
        break
      case 'date':
        hasDate = true
    }
  }
  // RFC 9112 6.3: both, or a coding that we cannot find the end of, or one in HTTP/1.0, is somebody's trick or mistake.
  if (coding !== undefined && (length !== undefined || coding !== 'chunked' || minor === '0'))
    return undefined
  if (length !== undefined && !LENGTH.test(length)) return undefined
  const framing = coding !== undefined ? 'chunked' : length !== undefined ? 'length' : 'close'
  return {
    status: Number(status),
    message,
    rawHeaders,
    framing,
    length: Number(length ?? 0),
    keepsAlive,
    isEvents,
    hasDate,
  }
}

/** @param text fields, each with its CRLF @returns undefined: malformed */
export const readTrailers = (text: string): string[] | undefined =>
  TRAILERS.test(text) ? fieldsOf(text, 0) : undefined

/** Of a text that the grammar above has taken. */
function fieldsOf(text: string, start: number): string[] {
  const raw: string[] = []
  for (let from = start; from < text.length; ) {
    const colon = text.indexOf(':', from)
    const next = text.indexOf('\r', colon)
    let a = colon + 1
    let b = next
    while (a < b && isBlank(text.charCodeAt(a))) a++
    while (b > a && isBlank(text.charCodeAt(b - 1))) b--
    raw.push(text.slice(from, colon), text.slice(a, b))
    from = next + 2
  }
  return raw
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
