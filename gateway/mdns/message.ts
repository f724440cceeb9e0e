/** Messages of mDNS as bytes: what strangers send, bounded, and what is sent, in pieces that fit a link. Pure. */

import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  encodingLength,
  type Packet,
  TRUNCATED_RESPONSE,
} from 'dns-packet'

export type ResourceRecord = Answer

export interface Question {
  /** As it was asked. */
  readonly name: string
  /** `A`, `ANY`, or `UNKNOWN_65`. */
  readonly type: string
}

export interface Message {
  readonly isQuery: boolean
  /** More of what the asking host knows follows. */
  readonly isTruncated: boolean
  readonly id: number
  readonly questions: readonly Question[]
  readonly answers: readonly ResourceRecord[]
  readonly authorities: readonly ResourceRecord[]
  readonly additionals: readonly ResourceRecord[]
}

/** A piece of a message that is not divided. */
export interface Piece {
  readonly questions?: readonly Question[]
  readonly answers?: readonly ResourceRecord[]
  readonly authorities?: readonly ResourceRecord[]
  readonly additionals?: readonly ResourceRecord[]
}

const HEADER_BYTES = 12
/** RFC 6762 17: the longest message that a host may send. */
const MAX_BYTES = 9_000
/** Below the 1,500 of Ethernet, with room for a tunnel's headers. */
const SENT_BYTES = 1_400
/** A name of the root, type and class; a record has TTL and length besides. */
const QUESTION_BYTES = 5
const RECORD_BYTES = 11
/** OPCODE and RCODE; RFC 6762 18.3, 18.11: with either of them a message is ignored. */
const OPCODE_AND_RCODE = 0x780f
/** IN and ANY; the same with the top bit, which asks for a unicast answer (RFC 6762 5.4). */
const CLASSES = ['IN', 'ANY', 'UNKNOWN_32769', 'UNKNOWN_33023']

/**
 * The counts are looked at before the codec reads: it makes an array of each length that the header claims.
 * @returns undefined: nothing that mDNS knows
 */
export function readMessage(bytes: Buffer): Message | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_BYTES) return undefined
  if ((bytes.readUInt16BE(2) & OPCODE_AND_RCODE) !== 0) return undefined
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10)
  const least = HEADER_BYTES + bytes.readUInt16BE(4) * QUESTION_BYTES + records * RECORD_BYTES
  if (least > bytes.length) return undefined
  let packet: Packet
  try {
    packet = decode(bytes)
  } catch {
    return undefined
  }
  const { type, id = 0, flags = 0, questions = [], answers = [], authorities = [], additionals = [] } = packet
  return {
    isQuery: type === 'query',
    isTruncated: (flags & TRUNCATED_RESPONSE) !== 0,
    id,
    questions: questions
      .filter((q) => CLASSES.includes(q.class ?? 'IN'))
      .map((q) => ({ name: q.name, type: q.type })),
    answers,
    authorities,
    additionals,
  }
}

/** As few messages as the pieces fit into. */
export const encodeQueries = (pieces: readonly Piece[]): Buffer[] =>
  packed(pieces).map((together) => encode(packetOf('query', together)))

export const encodeResponses = (pieces: readonly Piece[]): Buffer[] =>
  packed(pieces).map((together) => encode({ ...packetOf('response', together), flags: AUTHORITATIVE_ANSWER }))

/** RFC 6762 6.7: an answer of conventional DNS repeats id and question. */
export const encodeLegacyResponse = (id: number, piece: Piece): Buffer =>
  encode({ ...packetOf('response', [piece]), id, flags: AUTHORITATIVE_ANSWER })

const packetOf = (type: 'query' | 'response', pieces: readonly Piece[]): Packet => ({
  type,
  questions: pieces.flatMap((p) => p.questions ?? []) as never,
  answers: pieces.flatMap((p) => p.answers ?? []),
  authorities: pieces.flatMap((p) => p.authorities ?? []),
  additionals: pieces.flatMap((p) => p.additionals ?? []),
})

function packed(pieces: readonly Piece[]): Piece[][] {
  const messages: Piece[][] = []
  let used = Infinity
  for (const piece of pieces) {
    const bytes = encodingLength(packetOf('query', [piece])) - HEADER_BYTES
    const last = messages.at(-1)
    if (last === undefined || used + bytes > SENT_BYTES) {
      messages.push([piece])
      used = HEADER_BYTES + bytes
    } else {
      last.push(piece)
      used += bytes
    }
  }
  return messages
}
