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

export interface Answer extends Probe {
  /** Where the probe came from, as the answering host sees it. */
  readonly observed: string | undefined
  /** How many datagrams the answering host has received from the asking one. */
  readonly rxDatagrams: number
  readonly rxBytes: number
}

const KIND = 0
const TOKEN = 2
const SEQ = 6
const LOSS = 10
const FAMILY = 12
const PORT = 14
const ADDRESS = 16
const RX_DATAGRAMS = 32
const RX_BYTES = 40
/** Length of a probe and of an answer: an answer that is no longer than its probe amplifies no attack. */
const PROBE_BYTES = 48
const LOSS_UNIT = 10_000
/** Reused for each probe: 253 peers take a probe and an answer each every few seconds. */
const probeBytes = new Uint8Array(PROBE_BYTES)
const probeView = new DataView(probeBytes.buffer)

/** @returns bytes that the next probe or answer overwrites */
export function encodeProbe({ kind, token, seq, lossRate }: Probe): Uint8Array {
  const [bytes, view] = [probeBytes, probeView]
  bytes.fill(0)
  view.setUint8(KIND, PROBE_KINDS.indexOf(kind))
  view.setUint32(TOKEN, token)
  view.setUint32(SEQ, seq)
  view.setUint16(LOSS, Math.round(lossRate * LOSS_UNIT))
  return bytes
}

/** @returns undefined: not a probe. Bytes after the first 48 are padding */
export function decodeProbe(bytes: Uint8Array): Probe | undefined {
  if (bytes.byteLength < PROBE_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const kind = PROBE_KINDS[view.getUint8(KIND)]
  const lossRate = view.getUint16(LOSS) / LOSS_UNIT
  if (kind === undefined || lossRate > 1) return undefined
  return { kind, token: view.getUint32(TOKEN), seq: view.getUint32(SEQ), lossRate }
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
  return bytes
}

export function decodeAnswer(bytes: Uint8Array): Answer | undefined {
  const probe = decodeProbe(bytes)
  if (probe === undefined) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    ...probe,
    observed: observedIn(bytes, view),
    rxDatagrams: count(view.getFloat64(RX_DATAGRAMS)),
    rxBytes: count(view.getFloat64(RX_BYTES)),
  }
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
