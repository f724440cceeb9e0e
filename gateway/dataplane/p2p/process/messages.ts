/** Encodes and decodes the control datagrams between two P2P processes. Pure; big-endian throughout. */
import { ipBytes, parseEndpoint } from './endpoint.ts'

/** The plane reserves the types below 16. */
export const ControlType = {
  probe: 16,
  answer: 17,
  goodbye: 18,
  rekeyOffer: 19,
  rekeyAnswer: 20,
} as const

/** What a probe is for; the answer repeats it. With `race` the sender does not use this path yet. */
export const PROBE_KINDS = ['path', 'race', 'mtu'] as const
export type ProbeKind = (typeof PROBE_KINDS)[number]

export interface Probe {
  readonly kind: ProbeKind
  /** Random for each session, so that answers to another session do not count. */
  readonly token: number
  readonly seq: number
  /** The sender's loss over its last 40 probes. */
  readonly lossRate: number
}

export interface HeardProbe extends Probe {
  /** Whether its sender takes a question in the answer. Versions before that send false, and see padding there. */
  readonly takesQuestion: boolean
}

/** A probe of the answering host, which is answered by itself. Its kind is `path`, its loss the answer's. */
type Question = Pick<Probe, 'token' | 'seq'>

export interface Answer extends Probe {
  /** Where the probe came from, as the answering host sees it. */
  readonly observed: string | undefined
  /** How many datagrams the answering host has received from the asking one. */
  readonly rxDatagrams: number
  readonly rxBytes: number
  /** So three datagrams measure the round trips of both hosts, where a probe of each takes four. */
  readonly question?: Question | undefined
}

const KIND = 0
const FLAGS = 1
const TOKEN = 2
const SEQ = 6
const LOSS = 10
const FAMILY = 12
const PORT = 14
const ADDRESS = 16
const RX_DATAGRAMS = 32
const RX_BYTES = 40
/** Length of a probe and of an answer without a question: one that is no longer than its probe amplifies no attack. */
const PROBE_BYTES = 48
const QUESTION_TOKEN = 48
const QUESTION_SEQ = 52
const QUESTION_BYTES = 56
const Flag = { takesQuestion: 1, asks: 2 } as const
const LOSS_UNIT = 10_000
/** Reused for each probe: 253 peers take a probe and an answer each every few seconds. */
const questionBytes = new Uint8Array(QUESTION_BYTES)
const probeBytes = questionBytes.subarray(0, PROBE_BYTES)
const probeView = new DataView(questionBytes.buffer)

/** @returns bytes that the next probe or answer overwrites */
export function encodeProbe({ kind, token, seq, lossRate }: Probe): Uint8Array {
  const [bytes, view] = [probeBytes, probeView]
  bytes.fill(0)
  view.setUint8(KIND, PROBE_KINDS.indexOf(kind))
  view.setUint8(FLAGS, Flag.takesQuestion)
  view.setUint32(TOKEN, token)
  view.setUint32(SEQ, seq)
  view.setUint16(LOSS, Math.round(lossRate * LOSS_UNIT))
  return bytes
}

/** @returns undefined: not a probe. Bytes after the first 48 are padding */
export function decodeProbe(bytes: Uint8Array): HeardProbe | undefined {
  if (bytes.byteLength < PROBE_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const kind = PROBE_KINDS[view.getUint8(KIND)]
  const lossRate = view.getUint16(LOSS) / LOSS_UNIT
  if (kind === undefined || lossRate > 1) return undefined
  const takesQuestion = (view.getUint8(FLAGS) & Flag.takesQuestion) !== 0
  return { kind, token: view.getUint32(TOKEN), seq: view.getUint32(SEQ), lossRate, takesQuestion }
}

/** @returns bytes that the next probe or answer overwrites */
export function encodeAnswer(answer: Answer): Uint8Array {
  const bytes = encodeProbe(answer)
  const view = probeView
  const observed = answer.observed === undefined ? undefined : parseEndpoint(answer.observed)
  if (observed !== undefined) {
    view.setUint8(FAMILY, observed.ip.byteLength === 4 ? 4 : 6)
    view.setUint16(PORT, observed.port)
    bytes.set(observed.ip, ADDRESS)
  }
  view.setFloat64(RX_DATAGRAMS, answer.rxDatagrams)
  view.setFloat64(RX_BYTES, answer.rxBytes)
  if (answer.question === undefined) return bytes
  view.setUint8(FLAGS, Flag.takesQuestion | Flag.asks)
  view.setUint32(QUESTION_TOKEN, answer.question.token)
  view.setUint32(QUESTION_SEQ, answer.question.seq)
  return questionBytes
}

export function decodeAnswer(bytes: Uint8Array): Answer | undefined {
  const probe = decodeProbe(bytes)
  if (probe === undefined) return undefined
  const { kind, token, seq, lossRate } = probe
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    kind,
    token,
    seq,
    lossRate,
    observed: observedIn(bytes, view),
    rxDatagrams: count(view.getFloat64(RX_DATAGRAMS)),
    rxBytes: count(view.getFloat64(RX_BYTES)),
    question: questionIn(view),
  }
}

function questionIn(view: DataView): Question | undefined {
  if (view.byteLength < QUESTION_BYTES || (view.getUint8(FLAGS) & Flag.asks) === 0) return undefined
  return { token: view.getUint32(QUESTION_TOKEN), seq: view.getUint32(QUESTION_SEQ) }
}

function observedIn(bytes: Uint8Array, view: DataView): string | undefined {
  const family = view.getUint8(FAMILY)
  const port = view.getUint16(PORT)
  if ((family !== 4 && family !== 6) || port === 0) return undefined
  const text = ipBytes(bytes.subarray(ADDRESS, ADDRESS + (family === 4 ? 4 : 16)))
  return family === 4 ? `${text}:${port}` : `[${text}]:${port}`
}

const count = (value: number): number => (Number.isSafeInteger(value) && value >= 0 ? value : 0)

export interface RekeyMessage {
  readonly epoch: number
  readonly publicKey: Uint8Array
}

const EPOCH_BYTES = 4
const KEY_BYTES = 32

export function encodeRekey({ epoch, publicKey }: RekeyMessage): Uint8Array {
  const bytes = new Uint8Array(EPOCH_BYTES + KEY_BYTES)
  new DataView(bytes.buffer).setUint32(0, epoch)
  bytes.set(publicKey, EPOCH_BYTES)
  return bytes
}

export function decodeRekey(bytes: Uint8Array): RekeyMessage | undefined {
  if (bytes.byteLength !== EPOCH_BYTES + KEY_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return { epoch: view.getUint32(0), publicKey: bytes.slice(EPOCH_BYTES) }
}
