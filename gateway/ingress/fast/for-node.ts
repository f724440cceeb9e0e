/** Puts a request into the form that Node's parser takes, without another meaning. Pure. */

import { METHODS } from 'node:http'
import { endOfHead } from './fields.ts'

const KNOWN: ReadonlySet<string> = new Set(METHODS)
const LF = 0x0a
const CR = 0x0d

/**
 * A head whose lines all end in LF alone gets CRLFs (RFC 9112 2.2). With a single CR in it, it stays: another server
 * may have seen other lines.
 */
function withCrlf(bytes: Buffer): Buffer {
  const end = bytes.indexOf('\n\n', 0, 'latin1') + 2
  const cr = bytes.indexOf(CR)
  if (end < 2 || bytes[0] === LF || (cr >= 0 && cr < end)) return bytes
  const head = bytes.toString('latin1', 0, end).replaceAll('\n', '\r\n')
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes.subarray(end)])
}

const REQUEST_LINE = /^([^\s]{1,64} )([^\s]*[\x80-\xff][^\s]*)(?= HTTP\/1\.[01]\r\n)/

/** Raw UTF-8 in a target is percent-encoded: both mean the same to every server (RFC 3986 2.5). */
function withAsciiTarget(bytes: Buffer): Buffer {
  const end = bytes.indexOf(CR)
  const line = bytes.toString('latin1', 0, end < 0 ? 0 : end + 2)
  const [all, method = '', target = ''] = REQUEST_LINE.exec(line) ?? []
  if (all === undefined) return bytes
  const encoded = target.replaceAll(/[\x80-\xff]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return Buffer.concat([Buffer.from(method + encoded, 'latin1'), bytes.subarray(all.length)])
}

const LENGTH_LINE = /\r\nContent-Length:[\t ]*(\d{1,15})[\t ]*(?=\r\n)/gi

/** One length said twice is one (RFC 9110 8.6). */
function withOneLength(bytes: Buffer): Buffer {
  const end = bytes.indexOf('\r\n\r\n', 0, 'latin1') + 2
  const head = bytes.toString('latin1', 0, Math.max(0, end))
  const lines = [...head.matchAll(LENGTH_LINE)]
  if (lines.length < 2 || lines.some(([, length]) => length !== lines[0]![1])) return bytes
  let isFirst = true
  const one = head.replaceAll(LENGTH_LINE, (line) => {
    const kept = isFirst ? line : ''
    isFirst = false
    return kept
  })
  return Buffer.concat([Buffer.from(one, 'latin1'), bytes.subarray(end)])
}

export const endsWithinHead = (bytes: Buffer): boolean => endOfHead(bytes, 0) < 0

/** @param bytes a whole head and what follows it @returns the same buffer where nothing is to be mended */
export const mended = (bytes: Buffer): Buffer => withOneLength(withAsciiTarget(withCrlf(bytes)))

/** Frames a request as every method but CONNECT does. */
const STAND_IN = Buffer.from('POST')

export interface ForNode {
  readonly bytes: Buffer
  /** What stands in `bytes` is a stand-in for it. */
  readonly method: string | undefined
}

/** Node's parser knows 35 methods, and any token is one (RFC 9110 9.1). */
export function withKnownMethod(bytes: Buffer): ForNode {
  const [, method] =
    /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) (?:\/|https?:)/i.exec(bytes.toString('latin1', 0, 80)) ?? []
  if (method === undefined || KNOWN.has(method)) return { bytes, method: undefined }
  return { bytes: Buffer.concat([STAND_IN, bytes.subarray(method.length)]), method }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** A refused method has at most as many characters that fit one. */
const MAX_KNOWN = Math.max(...METHODS.map((method) => method.length))

/** How many characters of `text` begin a method that Node's parser knows. */
function knownPrefix(text: string): number {
  let length = 0
  while (length < text.length && METHODS.some((method) => method.startsWith(text.slice(0, length + 1))))
    length++
  return length
}

/**
 * What is known of the request before a refused one: `gone`, it was read before this packet came; `head`, it has no
 * body; `body`, its last bytes may be in this packet.
 */
export type Before = 'gone' | 'head' | 'body'

/**
 * Where a request begins whose method Node's parser refused; it must have begun in these bytes. The parser tells the
 * first character that fits none of its methods.
 * @param refusedAt `bytesParsed` of the parser's error
 * @returns undefined: behind a body, two beginnings are possible, and the wrong one would be another method
 */
export function methodStart(bytes: Buffer, refusedAt: number, before: Before): number | undefined {
  const from = Math.max(0, refusedAt - MAX_KNOWN - 1)
  const text = bytes.toString('latin1', from, refusedAt + 1)
  const at = refusedAt - from
  const starts: number[] = []
  for (let start = 0; start <= at; start++) {
    const isFirst = from + start === 0 || text[start - 1] === '\n'
    if (!isFirst && before !== 'body') continue
    if (TOKEN.test(text[start]!) && knownPrefix(text.slice(start)) === at - start) starts.push(from + start)
  }
  return starts.length === 1 ? starts[0] : undefined
}

/**
 * Where a head begins that Node's parser refused for something else than its method; it must have begun in these bytes.
 * @returns undefined: behind a body it is not certain, and neither is it when the refused bytes are none of a head
 */
export function headStart(bytes: Buffer, refusedAt: number, before: Before): number | undefined {
  if (before === 'body') return undefined
  // The parser stopped within the head, so the last empty line before that ends the request in front of it.
  const emptyLine = before === 'gone' ? -1 : bytes.subarray(0, refusedAt).lastIndexOf('\r\n\r\n')
  let start = emptyLine < 0 ? 0 : emptyLine + 4
  while (bytes[start] === CR || bytes[start] === LF) start++
  return start < refusedAt ? start : undefined
}
