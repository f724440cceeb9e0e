/** DNS messages as bytes: what a client asks, judged, and what it is answered. Pure. */

import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
} from 'dns-packet'

/** A record of an answer. */
export type ResourceRecord = Answer

export interface Query {
  readonly id: number
  /** As it was asked, in its case, without a final dot; `.` is the root. */
  readonly name: string
  /** `A`, `PTR`, or `UNKNOWN_65`. */
  readonly type: string
  /** `IN`, `CH`, or `ANY`. */
  readonly class: string
  /** What the client takes by UDP; undefined: it speaks no EDNS. */
  readonly ednsSize: number | undefined
  /** RD and CD, as an answer repeats them. */
  readonly flags: number
}

export type Judged =
  | { readonly kind: 'query'; readonly query: Query }
  /** A question that is answered with an error, whatever its name. */
  | { readonly kind: 'refused'; readonly rcode: Rcode }
  /** Too short, or an answer itself: silence, so that two servers never talk to each other. */
  | { readonly kind: 'ignored' }

export type Rcode = keyof typeof RCODES

/** RFC 1035 4.1.1, RFC 6891 9. */
const RCODES = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const
const HEADER_BYTES = 12
const QR = 0x8000
const TC = 0x0200
const OPCODE = 0x7800
const RD_AND_CD = 0x0110
/** RFC 1035 4.2.1: what a client without EDNS takes by UDP. */
const PLAIN_UDP_BYTES = 512
/** What every link carries in one piece: RFC 9715 3.1 recommends 1400 at most, resolvers use 1232. */
const EDNS_UDP_BYTES = 1232

/**
 * The counts are looked at before the codec reads: it makes an array of each length that the header claims, so twelve
 * bytes would cost 2 MB.
 */
export function judge(bytes: Buffer): Judged {
  if (bytes.length < HEADER_BYTES) return { kind: 'ignored' }
  const flags = bytes.readUInt16BE(2)
  if ((flags & QR) !== 0) return { kind: 'ignored' }
  if ((flags & OPCODE) !== 0) return { kind: 'refused', rcode: 'NOTIMP' }
  const isOne = bytes.readUInt16BE(4) === 1 && bytes.readUInt16BE(6) === 0 && bytes.readUInt16BE(8) === 0
  // An OPT record, and a signature of the transaction beside it.
  if (!isOne || bytes.readUInt16BE(10) > 2) return { kind: 'refused', rcode: 'FORMERR' }
  return read(bytes, flags)
}

function read(bytes: Buffer, flags: number): Judged {
  let packet: Packet
  try {
    packet = decode(bytes)
  } catch {
    return { kind: 'refused', rcode: 'FORMERR' }
  }
  const [question] = packet.questions ?? []
  if (question === undefined) return { kind: 'refused', rcode: 'FORMERR' }
  const opt = packet.additionals?.find((record) => record.type === 'OPT')
  return {
    kind: 'query',
    query: {
      id: bytes.readUInt16BE(0),
      name: question.name,
      type: question.type,
      class: question.class ?? 'IN',
      ednsSize: opt?.type === 'OPT' ? opt.udpPayloadSize : undefined,
      flags: flags & RD_AND_CD,
    },
  }
}

export interface Content {
  readonly rcode: Rcode
  readonly answers?: readonly ResourceRecord[]
  readonly authorities?: readonly ResourceRecord[]
  /** We are the authority for the name. */
  readonly isOurs?: boolean
}

/** @param isTcp by UDP an answer that is longer than the client takes is cut to none, with TC: it asks again by TCP */
export function encodeAnswer(query: Query, content: Content, isTcp: boolean): Buffer {
  const bytes = encodeWhole(query, content)
  const room =
    query.ednsSize === undefined
      ? PLAIN_UDP_BYTES
      : Math.min(Math.max(query.ednsSize, PLAIN_UDP_BYTES), EDNS_UDP_BYTES)
  if (isTcp || bytes.length <= room) return bytes
  const cut = encodeWhole(query, { rcode: content.rcode, isOurs: content.isOurs === true })
  cut.writeUInt16BE(cut.readUInt16BE(2) | TC, 2)
  return cut
}

function encodeWhole(
  query: Query,
  { rcode, answers = [], authorities = [], isOurs = false }: Content,
): Buffer {
  return encode({
    type: 'response',
    id: query.id,
    flags: query.flags | RECURSION_AVAILABLE | (isOurs ? AUTHORITATIVE_ANSWER : 0) | RCODES[rcode],
    // In the client's case: resolvers that mix it against forged answers compare (draft-vixie-dnsext-dns0x20).
    questions: [{ name: query.name, type: query.type, class: query.class } as never],
    answers: [...answers],
    authorities: [...authorities],
    ...(query.ednsSize !== undefined && { additionals: [OPT] }),
  })
}

const OPT = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: EDNS_UDP_BYTES,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
} as const satisfies ResourceRecord

/** An error for a message that cannot be read: its header alone. */
export function encodeRefusal(bytes: Buffer, rcode: Rcode): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  bytes.copy(header, 0, 0, 2)
  header.writeUInt16BE(QR | (bytes.readUInt16BE(2) & (OPCODE | RD_AND_CD)) | RCODES[rcode], 2)
  return header
}

/**
 * The question of a message, as bytes, from its name to its class; undefined: there is not exactly one, or it is
 * broken.
 * @param bytes from the header on
 */
export function questionOf(bytes: Buffer): Buffer | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readUInt16BE(4) !== 1) return undefined
  let at = HEADER_BYTES
  for (;;) {
    const length = bytes[at]
    // A pointer has nothing before it that it could point to.
    if (length === undefined || length > 63) return undefined
    at += length + 1
    if (length === 0) break
  }
  return at + 4 <= bytes.length ? bytes.subarray(HEADER_BYTES, at + 4) : undefined
}

/** Whether `answer` is one to the question of `request`, under this id; names are equal in any case. */
export function isAnswerTo(request: Buffer, answer: Buffer, id: number): boolean {
  if (answer.length < HEADER_BYTES || answer.readUInt16BE(0) !== id) return false
  const flags = answer.readUInt16BE(2)
  if ((flags & QR) === 0 || (flags & OPCODE) !== 0) return false
  const asked = questionOf(request)
  const answered = questionOf(answer)
  return asked !== undefined && answered !== undefined && lower(asked) === lower(answered)
}

const lower = (bytes: Buffer): string => bytes.toString('latin1').toLowerCase()

export const rcodeOf = (bytes: Buffer): number => bytes.readUInt16BE(2) & 0x0f
