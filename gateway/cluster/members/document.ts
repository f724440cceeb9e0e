/**
 * The list of a cluster's members: one document, signed by the CA's key, whose version only rises.
 *
 * Pure: which document follows which, and what becomes of two that do not.
 */

import { createPrivateKey, sign, verify, X509Certificate } from 'node:crypto'
import { parsePrefix4 } from '../../../core/addr.ts'
import { isObject } from '../../../core/json.ts'

/** In order: a member only moves to the right, whatever a document says. */
const STATES = ['active', 'left', 'revoked'] as const
export type MemberState = (typeof STATES)[number]

export interface MemberRecord {
  readonly hostId: number
  /** SHA-256 of the public key (SPKI), hex. */
  readonly keyId: string
  /** Keys that held this hostId before and never will again. */
  readonly formerKeys: readonly string[]
  /** What the machine is called, e.g. its host name. */
  readonly name: string
  /**
   * As given at joining, the best first. Later announcements of the host are in gateway/cluster/members/endpoints.ts.
   */
  readonly endpoints: readonly string[]
  /** Holds the CA's key. */
  readonly admits: boolean
  readonly state: MemberState
  /** ISO 8601, UTC; of this key. */
  readonly joinedAt: string
  /** ISO 8601, UTC; of `state`. */
  readonly changedAt: string
}

export interface MembersDocument {
  readonly cluster: string
  /** Rises by one with each change. */
  readonly version: number
  /** `10.100.0.0/16` */
  readonly supernet: string
  readonly hostPrefix: number
  /** Every host that ever was, by hostId: a number is not given twice. */
  readonly members: readonly MemberRecord[]
}

/** As kept and sent: the very text that was signed. */
export interface SealedDocument {
  readonly text: string
  /** base64url */
  readonly signature: string
}

export class DocumentError extends Error {
  override readonly name = 'DocumentError'
}

/** So that the signature of a document is never one of anything else. */
const PURPOSE = 'flatnet members 1\n'

export function seal(document: MembersDocument, caKeyPem: string): SealedDocument {
  const text = JSON.stringify(document)
  const signature = sign(null, Buffer.from(PURPOSE + text), createPrivateKey(caKeyPem))
  return { text, signature: signature.toString('base64url') }
}

/** @throws {DocumentError} not signed by this CA, or not a list of members */
export function unseal(sealed: unknown, caPem: string, cluster?: string): MembersDocument {
  if (!isObject(sealed) || typeof sealed['text'] !== 'string' || typeof sealed['signature'] !== 'string') {
    throw new DocumentError('it is no sealed list of members')
  }
  const { text, signature } = sealed as unknown as SealedDocument
  const { publicKey } = new X509Certificate(caPem)
  if (!verify(null, Buffer.from(PURPOSE + text), publicKey, Buffer.from(signature, 'base64url'))) {
    throw new DocumentError("it is not signed by the cluster's CA")
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new DocumentError('it is not JSON', { cause })
  }
  if (!isDocument(value)) throw new DocumentError('it is not a list of members that this version can read')
  if (cluster !== undefined && value.cluster !== cluster) throw new DocumentError('it is of another cluster')
  return value
}

const isHostId = (v: unknown): v is number =>
  Number.isInteger(v) && (v as number) >= 1 && (v as number) <= 65_534
const isTexts = (v: unknown): v is string[] => Array.isArray(v) && v.every((e) => typeof e === 'string')

function isMember(m: unknown): m is MemberRecord {
  return (
    isObject(m) &&
    isHostId(m['hostId']) &&
    typeof m['keyId'] === 'string' &&
    typeof m['name'] === 'string' &&
    typeof m['admits'] === 'boolean' &&
    typeof m['joinedAt'] === 'string' &&
    typeof m['changedAt'] === 'string' &&
    isTexts(m['formerKeys']) &&
    isTexts(m['endpoints']) &&
    STATES.some((s) => s === m['state'])
  )
}

function isDocument(d: unknown): d is MembersDocument {
  if (!isObject(d) || typeof d['cluster'] !== 'string' || !Array.isArray(d['members'])) return false
  if (!Number.isSafeInteger(d['version']) || (d['version'] as number) < 1) return false
  if (typeof d['supernet'] !== 'string' || parsePrefix4(d['supernet']) === undefined) return false
  if (!Number.isInteger(d['hostPrefix']) || !d['members'].every(isMember)) return false
  return new Set(d['members'].map((m: MemberRecord) => m.hostId)).size === d['members'].length
}

const rank = (m: MemberRecord): number => STATES.indexOf(m.state)

export const memberOf = (document: MembersDocument, hostId: number): MemberRecord | undefined =>
  document.members.find((m) => m.hostId === hostId)

/**
 * Why `next` does not follow from `before`; undefined when it does. Also for a document that its signer made from an
 * old snapshot: no revoked host comes back by it, and no hostId changes hands unseen.
 */
export function notSuccessor(before: MembersDocument, next: MembersDocument): string | undefined {
  if (next.cluster !== before.cluster) return 'it is of another cluster'
  if (next.supernet !== before.supernet || next.hostPrefix !== before.hostPrefix)
    return 'it has another supernet'
  if (next.version <= before.version) return `its version ${next.version} is not above ${before.version}`
  for (const old of before.members) {
    const now = memberOf(next, old.hostId)
    if (now === undefined) return `host ${old.hostId} is missing in it`
    const gone = new Set(now.formerKeys)
    if (old.formerKeys.some((k) => !gone.has(k)))
      return `it has forgotten that a key of host ${old.hostId} is revoked`
    if (now.keyId !== old.keyId && !gone.has(old.keyId)) return `another key holds host ${old.hostId} in it`
    if (gone.has(now.keyId)) return `host ${old.hostId} has a revoked key in it`
    if (now.keyId === old.keyId && rank(now) < rank(old))
      return `host ${old.hostId} is ${old.state} and cannot become ${now.state}`
  }
  return undefined
}

/** Changes or adds members; the version rises. */
export function withMembers(document: MembersDocument, ...changed: readonly MemberRecord[]): MembersDocument {
  const ids = new Set(changed.map((m) => m.hostId))
  const members = [...document.members.filter((m) => !ids.has(m.hostId)), ...changed]
  return { ...document, version: document.version + 1, members: members.sort((a, b) => a.hostId - b.hostId) }
}

/**
 * One document out of two that neither follows from the other: the admitting host was restored from a snapshot and went
 * on from there. It follows from both, except that of two keys which were given one hostId the later one loses it.
 */
export function merge(a: MembersDocument, b: MembersDocument): MembersDocument {
  const ids = new Set([...a.members, ...b.members].map((m) => m.hostId))
  const members = [...ids].sort((x, y) => x - y).map((id) => mergeMembers(memberOf(a, id), memberOf(b, id)))
  return { ...a, version: Math.max(a.version, b.version) + 1, members }
}

function mergeMembers(a: MemberRecord | undefined, b: MemberRecord | undefined): MemberRecord {
  if (a === undefined || b === undefined) return (a ?? b)!
  const formerKeys = [...new Set([...a.formerKeys, ...b.formerKeys])]
  if (a.keyId === b.keyId) {
    const further = rank(b) > rank(a) || (rank(b) === rank(a) && b.changedAt > a.changedAt) ? b : a
    return { ...further, formerKeys }
  }
  // A key that the other side knows as a former one was replaced; otherwise who came first stays.
  const aIsFormer = b.formerKeys.includes(a.keyId)
  const bIsFormer = a.formerKeys.includes(b.keyId)
  const stays = aIsFormer !== bIsFormer ? (aIsFormer ? b : a) : isBefore(b, a) ? b : a
  const goes = stays === a ? b : a
  return { ...stays, formerKeys: [...new Set([...formerKeys, goes.keyId])].filter((k) => k !== stays.keyId) }
}

const isBefore = (x: MemberRecord, y: MemberRecord): boolean =>
  x.joinedAt === y.joinedAt ? x.keyId < y.keyId : x.joinedAt < y.joinedAt

/**
 * The lowest number that no host ever had.
 * @param max the highest of the supernet, 254 with the default sizes
 */
export function freeHostId(document: MembersDocument, max: number): number | undefined {
  const taken = new Set(document.members.map((m) => m.hostId))
  for (let id = 1; id <= max; id++) if (!taken.has(id)) return id
  return undefined
}

/** As conf/daemon.ts bounds it: the first slice holds the network's address, the last one its broadcast address. */
export function maxHostId({
  supernet,
  hostPrefix,
}: Pick<MembersDocument, 'supernet' | 'hostPrefix'>): number {
  const prefixLen = parsePrefix4(supernet)?.prefixLen ?? 16
  return Math.max(1, 2 ** (hostPrefix - prefixLen) - 2)
}
