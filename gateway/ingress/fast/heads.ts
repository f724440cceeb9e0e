/** Strict readers of HTTP/1.1 heads for the short way: what they do not take is left to Node's parser, or refused. Pure. */

import { HOP_BY_HOP, isOurs } from '../headers.ts'

interface Head {
  /** First line and fields, each with its line end. */
  readonly text: string
  /** The lines that are passed on as they are; undefined when that takes a second look, see `rawHeadersOf`. */
  readonly passed: string | undefined
}

export interface RequestHead extends Head {
  readonly method: string
  /** In origin-form. */
  readonly target: string
  /** Value of the one Host header, raw. */
  readonly host: string
  readonly accept: string | undefined
  /** Where the body starts. */
  readonly end: number
  /** Of the body; undefined when the request does not say. */
  readonly length: number | undefined
  /** The client wants the connection closed after the answer. */
  readonly close: boolean
}

export interface ResponseHead extends Head {
  readonly status: number
  readonly message: string
  readonly framing: 'length' | 'chunked' | 'close'
  /** Of the body, when that is its framing. */
  readonly length: number
  /** The connection may serve again after it. */
  readonly keepsAlive: boolean
  /** How long, in seconds, the server will keep it when idle; undefined: it does not say. */
  readonly keepAliveS: number | undefined
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

/** Of the fields of a head; names are lower case. @returns what becomes of the line */
type Look = (name: string, value: string) => 'pass' | 'drop' | 'second-look' | 'stop'

/** First letter and length of the names that are looked at: two of three fields need not be read at all. */
class Names {
  readonly #lettersOf = new Uint32Array(64)

  constructor(names: Iterable<string>) {
    for (const name of names) this.#lettersOf[name.length]! |= letterBit(name.charCodeAt(0))
  }

  mayHave(letter: number, length: number): boolean {
    return length < 64 && (this.#lettersOf[length]! & letterBit(letter)) !== 0
  }
}

const letterBit = (code: number): number => 1 << ((code | 0x20) - 0x61)
const X = 0x78

/** @returns undefined: `look` has stopped it */
function passFields(text: string, names: Names, look: Look): { passed: string | undefined } | undefined {
  let passed = ''
  let isPlain = true
  // What is passed on and was not copied yet begins here.
  let run = text.indexOf('\n') + 1
  for (let from = run, next = 0; from < text.length; from = next) {
    const colon = text.indexOf(':', from)
    next = text.indexOf('\n', colon) + 1
    const letter = text.charCodeAt(from)
    if ((letter | 0x20) !== X && !names.mayHave(letter, colon - from)) continue
    const fate = look(text.slice(from, colon).toLowerCase(), valueAt(text, colon + 1, next - 2))
    if (fate === 'stop') return undefined
    if (fate === 'second-look') isPlain = false
    if (fate === 'pass') continue
    passed += text.slice(run, from)
    run = next
  }
  return { passed: isPlain ? passed + text.slice(run) : undefined }
}

const OF_REQUEST = new Names([
  ...LEFT_TO_NODE,
  ...HOP_BY_HOP,
  ...['host', 'content-length', 'accept', 'via', 'connection'],
])

/** @returns undefined: to be left to Node's parser, right or wrong */
export function readRequest(bytes: Buffer): RequestHead | undefined {
  const end = bytes.indexOf(END)
  if (end < 0 || end > MAX_REQUEST_HEAD) return undefined
  const text = bytes.toString('latin1', 0, end + 2)
  const match = REQUEST.exec(text)
  if (match === null) return undefined
  let host: string | undefined
  let accept: string | undefined
  let length: string | undefined
  let close = false
  const fields = passFields(text, OF_REQUEST, (name, value) => {
    switch (name) {
      case 'host':
        if (host !== undefined) return 'stop'
        host = value
        return 'drop'
      case 'content-length':
        if (length !== undefined || !LENGTH.test(value)) return 'stop'
        length = value
        return 'drop'
      case 'connection': {
        const option = value.toLowerCase()
        if (option !== 'keep-alive' && option !== 'close') return 'stop'
        close ||= option === 'close'
        return 'drop'
      }
      case 'accept':
        accept = accept === undefined ? value : `${accept}, ${value}`
        return 'pass'
      default:
        if (LEFT_TO_NODE.has(name)) return 'stop'
        return name === 'via' || isOurs(name) || HOP_BY_HOP.has(name) ? 'second-look' : 'pass'
    }
  })
  if (fields === undefined || host === undefined) return undefined
  const [, method = '', target = ''] = match
  const bodyLength = length === undefined ? undefined : Number(length)
  const { passed } = fields
  return { text, passed, method, target, host, accept, end: end + 4, length: bodyLength, close }
}

const KEEP_ALIVE = /\btimeout=(\d{1,6})\b/i

/** What Number holds exactly. */
const LENGTH = /^\d{1,15}$/

const OF_RESPONSE = new Names([...HOP_BY_HOP, 'content-length', 'content-type', 'date'])

/** @param text status line and fields, each with its CRLF @returns undefined: no HTTP/1.1 that could be passed on */
export function readResponse(text: string): ResponseHead | undefined {
  const match = RESPONSE.exec(text)
  if (match === null) return undefined
  const [, minor, status, message = ''] = match
  let keepsAlive = minor === '1'
  let keepAliveS: number | undefined
  let length: string | undefined
  let coding: string | undefined
  let isEvents = false
  let hasDate = false
  const fields = passFields(text, OF_RESPONSE, (name, value) => {
    switch (name) {
      case 'content-length':
        if (length !== undefined || !LENGTH.test(value)) return 'stop'
        length = value
        return 'pass'
      case 'transfer-encoding':
        // RFC 9112 6.3: a coding that we cannot find the end of, or one in HTTP/1.0, is somebody's trick or mistake.
        if (coding !== undefined || value.toLowerCase() !== 'chunked' || minor === '0') return 'stop'
        coding = value
        return 'drop'
      case 'connection': {
        const option = value.toLowerCase()
        if (/\bclose\b/.test(option)) keepsAlive = false
        return option === 'close' || option === 'keep-alive' ? 'drop' : 'second-look'
      }
      case 'keep-alive': {
        const [, seconds] = KEEP_ALIVE.exec(value) ?? []
        if (seconds !== undefined) keepAliveS = Number(seconds)
        return 'drop'
      }
      case 'content-type':
        isEvents = /^text\/event-stream\b/i.test(value)
        return 'pass'
      case 'date':
        hasDate = true
        return 'pass'
      default:
        // Trailer is passed on where trailers are.
        return name === 'trailer' ? 'second-look' : HOP_BY_HOP.has(name) ? 'drop' : 'pass'
    }
  })
  if (fields === undefined || (coding !== undefined && length !== undefined)) return undefined
  const framing = coding !== undefined ? 'chunked' : length !== undefined ? 'length' : 'close'
  return {
    text,
    passed: fields.passed,
    status: Number(status),
    message,
    framing,
    length: Number(length ?? 0),
    keepsAlive,
    keepAliveS,
    isEvents,
    hasDate,
  }
}

/** @param text fields, each with its CRLF @returns undefined: malformed */
export const readTrailers = (text: string): string[] | undefined =>
  TRAILERS.test(text) ? fieldsOf(text, 0) : undefined

export const rawHeadersOf = ({ text }: Head): string[] => fieldsOf(text, text.indexOf('\n') + 1)

/** Of a text that the grammar above has taken. */
function fieldsOf(text: string, start: number): string[] {
  const raw: string[] = []
  for (let from = start; from < text.length; ) {
    const colon = text.indexOf(':', from)
    const end = text.indexOf('\r', colon)
    raw.push(text.slice(from, colon), valueAt(text, colon + 1, end))
    from = end + 2
  }
  return raw
}

function valueAt(text: string, from: number, to: number): string {
  let a = from
  let b = to
  while (a < b && isBlank(text.charCodeAt(a))) a++
  while (b > a && isBlank(text.charCodeAt(b - 1))) b--
  return text.slice(a, b)
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09
