/**
 * The reader of response heads: status line, fields, framing.
 *
 * Strict first; a head that fails is mended where it has one reading (RFC 9112 2.2, RFC 9110 5.5) and read again. Pure.
 */

import { HOP_BY_HOP } from '../headers.ts'
import { areFields, type Fate, type Head, LENGTH, Names, passFields } from './fields.ts'

export interface ResponseHead extends Head {
  readonly status: number
  readonly message: string
  readonly framing: Framing
  /** Of the body, when that is its framing. */
  readonly length: number
  /** The connection may serve again after it. */
  readonly keepsAlive: boolean
  /** How many seconds the server keeps the idle connection; undefined: it does not say. */
  readonly keepAliveS: number | undefined
  /** An event stream, which has no end of its own. */
  readonly isEvents: boolean
  readonly hasDate: boolean
}

/** How the end of the body is found: by Content-Length, by its chunks, or by the end of the connection. */
type Framing = 'length' | 'chunked' | 'close'

/** The bytes are not an HTTP/1.1 answer that can be passed on; the message is the rule that says so. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError'
}

/** @param text status line and fields, each with its line end @throws {AnswerError} */
export const readResponse = (text: string): ResponseHead => readPlainResponse(text) ?? readMended(text)

/** @returns undefined: not well-formed, though it may be mended @throws {AnswerError} */
export function readPlainResponse(text: string): ResponseHead | undefined {
  const line = readStatusLine(text)
  if (line === undefined || !areFields(text, line.end)) return undefined
  const fields = readFields(text, line)
  const framing = framingOf(line, fields)
  // A coding overrides lengths (RFC 9112 6.3), and equal lengths are one: the client gets what the gateway goes by.
  if (fields.length !== undefined && (framing === 'chunked' || fields.length.includes(','))) {
    const clear = readResponse(withLength(text, framing === 'chunked' ? undefined : lengthOf(fields.length)))
    return { ...clear, keepsAlive: clear.keepsAlive && framing !== 'chunked' }
  }
  return {
    text,
    passed: fields.passed,
    status: line.status,
    message: line.message,
    framing,
    length: framing === 'length' ? Number(fields.length) : 0,
    keepsAlive: line.minor === 1 && !fields.hasClose,
    keepAliveS: fields.keepAliveS,
    isEvents: fields.isEvents,
    hasDate: fields.hasDate,
  }
}

function readMended(text: string): ResponseHead {
  if (HIDDEN_FRAMING.test(text)) throw new AnswerError('a control character in a field that frames the body')
  const mended = mend(text)
  if (mended !== text) return readResponse(mended)
  throw new AnswerError(
    readStatusLine(text) === undefined
      ? 'the status line is not "HTTP/1.1 200 OK" or the like'
      : 'a field is not one line of a name, a colon and a value without NUL',
  )
}

/** Parsers disagree whether such a field counts, so it is not mended. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
const HIDDEN_FRAMING = /^(?:content-length|transfer-encoding):.*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/im

/** Lines that end in LF alone, control characters in values, and more than one blank in the status line. */
const mend = (text: string): string =>
  text
    .replaceAll(/\r?\n/g, '\r\n')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
    .replaceAll(/[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]/g, ' ')
    .replace(/^(HTTP\/1\.[01]) +(?=\d)/, '$1 ')

/** The head with this Content-Length and no other. */
const withLength = (text: string, length: string | undefined): string =>
  text.replaceAll(/^content-length:.*\r\n/gim, '') +
  (length === undefined ? '' : `Content-Length: ${length}\r\n`)

interface StatusLine {
  /** HTTP/1.`minor` */
  readonly minor: number
  readonly status: number
  readonly message: string
  /** Where the fields start. */
  readonly end: number
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n/

function readStatusLine(text: string): StatusLine | undefined {
  const match = STATUS_LINE.exec(text)
  if (match === null) return undefined
  // By index: taking an array apart costs three times as much.
  return { minor: Number(match[1]), status: Number(match[2]), message: match[3] ?? '', end: match[0].length }
}

/** What the fields say, before any of it is judged. */
interface Fields {
  passed: string | undefined
  /** Content-Length and Transfer-Encoding; several fields of a name are one list (RFC 9110 5.3). */
  length: string | undefined
  coding: string | undefined
  hasClose: boolean
  keepAliveS: number | undefined
  isEvents: boolean
  hasDate: boolean
}

const LOOKED_AT = new Names([...HOP_BY_HOP, 'content-length', 'content-type', 'date'])

/** Of lines that `areFields` has accepted. */
function readFields(text: string, { end }: StatusLine): Fields {
  const seen: Fields = {
    passed: undefined,
    length: undefined,
    coding: undefined,
    hasClose: false,
    keepAliveS: undefined,
    isEvents: false,
    hasDate: false,
  }
  seen.passed = passFields(text, end, LOOKED_AT, look, seen)?.passed
  return seen
}

const KEEP_ALIVE = /\btimeout=(\d{1,6})\b/i

function look(seen: Fields, name: string, value: string): Fate {
  switch (name) {
    case 'content-length':
      seen.length = listOf(seen.length, value)
      return 'pass'
    case 'transfer-encoding':
      seen.coding = listOf(seen.coding, value)
      return 'drop'
    case 'connection': {
      const option = value.toLowerCase()
      if (/\bclose\b/.test(option)) seen.hasClose = true
      return option === 'close' || option === 'keep-alive' ? 'drop' : 'second-look'
    }
    case 'keep-alive': {
      const [, seconds] = KEEP_ALIVE.exec(value) ?? []
      if (seconds !== undefined) seen.keepAliveS = Number(seconds)
      return 'drop'
    }
    case 'content-type':
      seen.isEvents = /^text\/event-stream\b/i.test(value)
      return 'pass'
    case 'date':
      seen.hasDate = true
      return 'pass'
    default:
      // Trailer is passed on where trailers are.
      return name === 'trailer' ? 'second-look' : HOP_BY_HOP.has(name) ? 'drop' : 'pass'
  }
}

const listOf = (list: string | undefined, value: string): string =>
  list === undefined ? value : `${list}, ${value}`

/**
 * RFC 9112 6.1 and 6.3. An answer with two readings is refused, as it could end elsewhere for the client than for the
 * gateway: two different lengths, a coding besides chunked, or a coding in HTTP/1.0.
 */
function framingOf({ minor }: StatusLine, { length, coding }: Fields): Framing {
  if (coding !== undefined) {
    if (coding.toLowerCase() !== 'chunked')
      throw new AnswerError(`Transfer-Encoding is "${coding}": only "chunked", once, can be passed on`)
    if (minor === 0) throw new AnswerError('Transfer-Encoding in an answer of HTTP/1.0')
    return 'chunked'
  }
  if (length === undefined) return 'close'
  if (!LENGTH.test(length)) lengthOf(length)
  return 'length'
}

/** @param list one Content-Length, or several that must be equal */
function lengthOf(list: string): string {
  const [length = '', ...more] = list.split(',').map((l) => l.trim())
  if (more.some((other) => other !== length))
    throw new AnswerError(`two different lengths: Content-Length is "${list}"`)
  if (!LENGTH.test(length)) throw new AnswerError(`Content-Length is "${list}": not at most 15 digits`)
  return length
}
