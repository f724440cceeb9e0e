/** The messages about tables between gateways: their shapes, and how to read them from a peer. */

import { isObject, type JsonObject } from '../../core/json.ts'
import type { ControlMessage } from '../links/types.ts'
import type { Version } from '../registry/table.ts'
import type { WireRecord } from './record.ts'
import type { Claim, Proof } from './sign.ts'

/** A claim of the owner with its signature. */
export type Signed = Claim & Proof

/** `[hostId, epoch, seq]` */
export type KnownVersion = readonly [number, number, number]

/** First on every link: the sender, and which versions it has. */
export interface Hello extends Signed, ControlMessage {
  readonly type: 'registry.hello'
  readonly v: number
  readonly know: readonly KnownVersion[]
}

/** From its owner alone: the state now of every address that changed after `from`. Fits any table from there on. */
export interface Delta extends Signed, ControlMessage {
  readonly type: 'registry.delta'
  readonly from: number
  /** Assignments in the table afterwards: a receiver that counts others asks for the whole. */
  readonly size: number
  readonly put: readonly WireRecord[]
  /** e.g. `10.100.1.10` */
  readonly del: readonly string[]
}

/** One page of a whole table, from its owner or passed on. Pages come in order, 0 first. */
export interface TablePage extends Signed, ControlMessage {
  readonly type: 'registry.table'
  /**
   * Milliseconds since the sender had a sign of the owner; 0 from the owner. Unsigned, so it only ever shortens a
   * life.
   */
  readonly ageMs: number
  readonly page: number
  readonly pages: number
  readonly records: readonly WireRecord[]
}

/** `pair`: sender and receiver. `all`: everything. `answer`: what the sender has newer; it is not answered. */
export interface Digest extends ControlMessage {
  readonly type: 'registry.digest'
  readonly scope: 'pair' | 'all' | 'answer'
  readonly know: readonly KnownVersion[]
  /** The sender's wall clock, ms since the epoch. */
  readonly now?: number
}

/** Asks for a host's table, or for what changed after the version that the sender has. */
export interface Want extends ControlMessage {
  readonly type: 'registry.want'
  readonly hostId: number
  readonly epoch: number
  readonly seq: number
}

/** STALE_EPOCH: the receiver's own signature under a later version than it has just claimed. */
export interface Stale extends Signed, ControlMessage {
  readonly type: 'registry.stale'
}

/** Warns a host that another machine uses its identity. For its log; it changes nothing. */
interface CloneSeen extends ControlMessage {
  readonly type: 'registry.clone'
}

export type RegistryMessage = Hello | Delta | TablePage | Digest | Want | Stale | CloneSeen

export const PROTOCOL = 1

/** More hosts than any supernet has in use; a bound for lists. */
const MAX_HOSTS = 65_536
const MAX_PAGES = 4096
/** Far above any clock, and far below where adding one is no longer exact. */
const MAX_COUNT = 2 ** 52

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_COUNT

const isHex = (value: unknown, length: number): boolean =>
  typeof value === 'string' && value.length === length && /^[0-9a-f]+$/.test(value)

const isBase64 = (value: unknown): boolean =>
  typeof value === 'string' && value.length <= 128 && /^[A-Za-z0-9+/]+={0,2}$/.test(value)

const isList = (value: unknown, max: number): value is unknown[] =>
  Array.isArray(value) && value.length <= max

export const isSigned = (m: JsonObject): boolean =>
  isCount(m['hostId']) &&
  isCount(m['epoch']) &&
  isCount(m['seq']) &&
  isHex(m['nonce'], 32) &&
  isHex(m['hash'], 64) &&
  isBase64(m['sig']) &&
  isBase64(m['key'])

/** Each host once: an answer to a list has no more parts than there are hosts. */
const isKnow = (value: unknown): value is KnownVersion[] =>
  isList(value, MAX_HOSTS) &&
  value.every((k) => isList(k, 3) && k.length === 3 && k.every(isCount)) &&
  new Set((value as KnownVersion[]).map(([hostId]) => hostId)).size === value.length

const SHAPES: Readonly<Record<RegistryMessage['type'], (m: JsonObject) => boolean>> = {
  'registry.hello': (m) => isSigned(m) && isCount(m['v']) && isKnow(m['know']),
  'registry.delta': (m) =>
    isSigned(m) &&
    isCount(m['from']) &&
    isCount(m['size']) &&
    isList(m['put'], MAX_HOSTS) &&
    isList(m['del'], MAX_HOSTS) &&
    m['del'].every((ip) => typeof ip === 'string'),
  'registry.table': (m) =>
    isSigned(m) &&
    isCount(m['ageMs']) &&
    isCount(m['page']) &&
    isCount(m['pages']) &&
    m['pages'] <= MAX_PAGES &&
    m['page'] < m['pages'] &&
    isList(m['records'], MAX_HOSTS),
  'registry.digest': (m) =>
    ['pair', 'all', 'answer'].includes(String(m['scope'])) &&
    isKnow(m['know']) &&
    (m['now'] === undefined || isCount(m['now'])),
  'registry.want': (m) => isCount(m['hostId']) && isCount(m['epoch']) && isCount(m['seq']),
  'registry.stale': isSigned,
  'registry.clone': () => true,
}

const isType = (type: string): type is RegistryMessage['type'] => Object.hasOwn(SHAPES, type)

/** Records are looked at later. @returns undefined when it is not a message about tables */
export function readMessage(message: ControlMessage): RegistryMessage | undefined {
  const { type } = message
  if (!isObject(message) || !isType(type) || !SHAPES[type](message)) return undefined
  return message as unknown as RegistryMessage
}

export const versionIn = (m: { readonly epoch: number; readonly seq: number }): Version => ({
  epoch: m.epoch,
  seq: m.seq,
})

export const claimIn = ({ hostId, epoch, seq, nonce, hash, sig, key }: Signed): Signed => ({
  hostId,
  epoch,
  seq,
  nonce,
  hash,
  sig,
  key,
})
