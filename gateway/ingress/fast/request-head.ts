/**
 * The strict reader of request heads.
 *
 * Node's parser gets every request that it does not accept. Pure.
 */

import { FORWARDED_NAMES, isForwarded } from '../forwarded.ts'
import { HOP_BY_HOP, isOurs } from '../headers.ts'
import { areFields, type Fate, type Head, LENGTH, Names, passFields } from './fields.ts'

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

/** Where answers to requests are that went as messages (../late.ts). */
const MESSAGES = '/v1/messages/'

const END = Buffer.from('\r\n\r\n')

/** Bytes of a head; longer ones are rare, and Node's parser has the configured limit. */
const MAX_REQUEST_HEAD = 8192

/**
 * Any token is a method (RFC 9110 9.1) but CONNECT. Besides that the grammar accepts a part of what Node's parser
 * accepts, with the same meaning: no request has a second reading.
 */
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (\/[\x21-\x22\x24-\x7e]*) HTTP\/1\.1\r\n/

/**
 * Fields of requests that need more work: other framing, upgrades, 100-continue, trailers, another gateway's mark, an
 * answer that may come later.
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
  'prefer',
])

const LOOKED_AT = new Names([
  ...LEFT_TO_NODE,
  ...HOP_BY_HOP,
  ...FORWARDED_NAMES,
  ...['host', 'content-length', 'accept', 'via', 'connection', 'destination', 'if'],
])

/** A list to extend, and the URLs of WebDAV. */
const SECOND_LOOK = new Set(['via', 'destination', 'if'])

/** What the fields of a request say. */
interface Seen {
  host: string | undefined
  accept: string | undefined
  length: string | undefined
  close: boolean
}

/** @returns undefined: Node's parser decides about it */
export function readRequest(bytes: Buffer): RequestHead | undefined {
  const end = bytes.indexOf(END)
  if (end < 0 || end > MAX_REQUEST_HEAD) return undefined
  const text = bytes.toString('latin1', 0, end + 2)
  const line = REQUEST_LINE.exec(text)
  if (line === null) return undefined
  // By index: taking an array apart costs three times as much.
  const start = line[0].length
  const method = line[1]!
  const target = line[2]!
  if (method === 'CONNECT' || target.startsWith(MESSAGES)) return undefined
  if (!areFields(text, start)) return undefined
  const seen: Seen = { host: undefined, accept: undefined, length: undefined, close: false }
  const fields = passFields(text, start, LOOKED_AT, look, seen)
  const { host, accept, close } = seen
  if (fields === undefined || host === undefined) return undefined
  const length = seen.length === undefined ? undefined : Number(seen.length)
  return { text, passed: fields.passed, method, target, host, accept, end: end + 4, length, close }
}

function look(seen: Seen, name: string, value: string): Fate {
  switch (name) {
    case 'host':
      if (seen.host !== undefined) return 'refuse'
      seen.host = value
      return 'drop'
    case 'content-length':
      if (seen.length !== undefined || !LENGTH.test(value)) return 'refuse'
      seen.length = value
      return 'drop'
    case 'connection': {
      const option = value.toLowerCase()
      if (option !== 'keep-alive' && option !== 'close') return 'refuse'
      seen.close ||= option === 'close'
      return 'drop'
    }
    case 'accept':
      seen.accept = seen.accept === undefined ? value : `${seen.accept}, ${value}`
      return 'pass'
    default:
      if (LEFT_TO_NODE.has(name)) return 'refuse'
      return SECOND_LOOK.has(name) || isOurs(name) || isForwarded(name) || HOP_BY_HOP.has(name)
        ? 'second-look'
        : 'pass'
  }
}
