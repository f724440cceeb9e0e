/** The strict reader of response heads: status line, fields, framing. Pure. */

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

/** @param text status line and fields, each with its CRLF @returns undefined: not an answer that can be passed on */
export function readResponse(text: string): ResponseHead | undefined {
  const line = readStatusLine(text)
  if (line === undefined) return undefined
  const fields = readFields(text, line)
  if (fields === undefined) return undefined
  const framing = framingOf(line, fields)
  if (framing === undefined) return undefined
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
  const [{ length: end }, minor, status, message = ''] = match
  return { minor: Number(minor), status: Number(status), message, end }
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

function readFields(text: string, { end }: StatusLine): Fields | undefined {
  if (!areFields(text, end)) return undefined
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
 * gateway: both framings, two lengths, a coding besides chunked, or a coding in HTTP/1.0.
 */
function framingOf({ minor }: StatusLine, { length, coding }: Fields): Framing | undefined {
  if (coding !== undefined) {
    const isClear = coding.toLowerCase() === 'chunked' && minor === 1 && length === undefined
    return isClear ? 'chunked' : undefined
  }
  if (length === undefined) return 'close'
  return LENGTH.test(length) ? 'length' : undefined
}
