/** HTTP requests and answers as the text of a message: a line of JSON, then the body. Pure. */

import { isObject, type JsonObject } from '../../core/json.ts'

export interface LateRequest {
  /** 32 hex digits, known to the client and the two hosts alone. */
  readonly id: string
  readonly method: string
  /** origin-form */
  readonly path: string
  /** As Node's `rawHeaders`, ready for the container. */
  readonly headers: readonly string[]
  /** Of the container. */
  readonly ip: string
  readonly port: number
  readonly body: Buffer
}

export type LateAnswer = { readonly id: string } & (
  | { readonly status: number; readonly headers: readonly string[]; readonly body: Buffer }
  /** Why there is none, in words for a person. */
  | { readonly problem: string }
)

/** Of a request or an answer. */
export const MAX_BODY_BYTES = 64 * 1024

const NEWLINE = 0x0a
const ID_RE = /^[0-9a-f]{32}$/
const METHOD_RE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/
const MAX_FIELDS = 512

export const isMessageId = (text: string): boolean => ID_RE.test(text)

const join = (head: JsonObject, body: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body])

function split(plain: Buffer): { head: JsonObject; body: Buffer } | undefined {
  const end = plain.indexOf(NEWLINE)
  if (end < 0) return undefined
  try {
    const head: unknown = JSON.parse(plain.toString('utf8', 0, end))
    return isObject(head) ? { head, body: plain.subarray(end + 1) } : undefined
  } catch {
    return undefined
  }
}

export const writeRequest = ({ body, ...head }: LateRequest): Buffer => join(head, body)

export const writeAnswer = (answer: LateAnswer): Buffer => {
  if ('problem' in answer) return join(answer, Buffer.alloc(0))
  const { body, ...head } = answer
  return join(head, body)
}

const isFields = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.length <= MAX_FIELDS &&
  value.length % 2 === 0 &&
  value.every((text) => typeof text === 'string')

const isPort = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535

/** @returns undefined: it is none */
export function readRequest(plain: Buffer): LateRequest | undefined {
  const { head, body } = split(plain) ?? {}
  if (head === undefined || body === undefined) return undefined
  const { id, method, path, headers, ip, port } = head
  if (typeof id !== 'string' || !ID_RE.test(id) || typeof method !== 'string' || !METHOD_RE.test(method))
    return undefined
  if (typeof path !== 'string' || typeof ip !== 'string' || !isPort(port) || !isFields(headers))
    return undefined
  return { id, method, path, headers, ip, port, body }
}

/** @returns undefined: it is none */
export function readAnswer(plain: Buffer): LateAnswer | undefined {
  const { head, body } = split(plain) ?? {}
  if (head === undefined || body === undefined) return undefined
  const { id, status, headers, problem } = head
  if (typeof id !== 'string' || !ID_RE.test(id)) return undefined
  if (typeof problem === 'string') return { id, problem }
  const isStatus = typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599
  return isStatus && isFields(headers) ? { id, status, headers, body } : undefined
}
