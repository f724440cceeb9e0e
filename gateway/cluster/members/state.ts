/** What this host knows of its cluster, on disk and in memory: identity, members, endpoints. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { Millis } from '../../../core/clock.ts'
import { FlatnetError } from '../../../core/errors.ts'
import { keyIdOf, peerIdOf } from '../../links/tls.ts'
import type { Identity, Member, Membership } from '../../links/types.ts'
import type { ClusterFile, ClusterFiles } from '../identity/files.ts'
import {
  type MemberRecord,
  type MembersDocument,
  memberOf,
  merge,
  notSuccessor,
  type SealedDocument,
  seal,
  unseal,
  withMembers,
} from './document.ts'
import { EndpointBook, type EndpointRecord, isSignedBy, MAX_ENDPOINTS } from './endpoints.ts'

export type Adopted =
  | { readonly kind: 'newer' | 'known' | 'merged' }
  /** Neither follows from the other, and this host cannot put it right. */
  | { readonly kind: 'conflict'; readonly reason: string }

type OnChange = (before: MembersDocument, now: MembersDocument) => void

const broken = (what: string, cause?: unknown): FlatnetError =>
  new FlatnetError(
    'ERR_FLATNET_STORE',
    `${what}; put it back from a backup, or bring this host in again: flatnet leave --force, then flatnet join`,
    cause === undefined ? {} : { cause },
  )

/** OpenSSL's error for what is no PEM says nothing of the file. */
function usable<T>(files: ClusterFiles, file: ClusterFile, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw broken(`${files.path(file)} cannot be used`, cause)
  }
}

export class ClusterState implements Membership {
  readonly files: ClusterFiles
  readonly endpoints: EndpointBook
  readonly #caPem: string
  readonly #keyPem: string
  readonly #keyId: string
  readonly #listeners = new Set<OnChange>()
  #identity: Identity
  #sealed: SealedDocument
  #isKept = true
  #document: MembersDocument
  /** Members whose present connections have to go, for the moment of a refresh. */
  #hidden: ReadonlySet<number> = new Set()

  /** @throws {FlatnetError} ERR_FLATNET_STORE: something is missing, or does not belong together */
  constructor(files: ClusterFiles) {
    this.files = files
    const [caPem, certPem, keyPem, members] = (['caPem', 'certPem', 'keyPem', 'members'] as const).map(
      (file) => {
        const text = files.read(file)
        if (text === undefined) throw broken(`${files.path(file)} is missing`)
        return text
      },
    ) as [string, string, string, string]
    this.#caPem = caPem
    this.#keyPem = keyPem
    const [ca, cert, key] = [
      usable(files, 'caPem', () => new X509Certificate(caPem)),
      usable(files, 'certPem', () => new X509Certificate(certPem)),
      usable(files, 'keyPem', () => createPrivateKey(keyPem)),
    ]
    if (!cert.verify(ca.publicKey))
      throw broken(`${files.path('caPem')} has not signed ${files.path('certPem')}`)
    if (!cert.checkPrivateKey(key))
      throw broken(`${files.path('keyPem')} is not the key of ${files.path('certPem')}`)
    try {
      this.#sealed = JSON.parse(members)
      this.#document = unseal(this.#sealed, caPem)
    } catch (cause) {
      throw broken(`${files.path('members')} cannot be used`, cause)
    }
    const id = peerIdOf(cert, this.#document.cluster)
    if (id === undefined) throw broken(`${files.path('certPem')} is no certificate of a host of this cluster`)
    this.#keyId = id.keyId
    this.#identity = { cluster: this.#document.cluster, hostId: id.hostId, caPem, certPem, keyPem }
    this.endpoints = new EndpointBook(files)
  }

  get identity(): Identity {
    return this.#identity
  }

  get keyId(): string {
    return this.#keyId
  }

  get document(): MembersDocument {
    return this.#document
  }

  get sealed(): SealedDocument {
    return this.#sealed
  }

  /** The key by which this host may admit others. A key of another CA, or a broken one, counts as none. */
  get caKeyPem(): string | undefined {
    const pem = this.files.read('caKeyPem')
    return pem !== undefined && this.#isCaKey(pem) ? pem : undefined
  }

  #isCaKey(pem: string): boolean {
    try {
      return new X509Certificate(this.#caPem).checkPrivateKey(createPrivateKey(pem))
    } catch {
      return false
    }
  }

  /** Why this host is no member any more; undefined while it is one. */
  get removedWhy(): string | undefined {
    return this.#refusalOf(this.#identity.hostId, this.#keyId)
  }

  members(): readonly Member[] {
    if (this.removedWhy !== undefined) return []
    return this.#document.members
      .filter(
        (m) => m.hostId !== this.#identity.hostId && m.state === 'active' && !this.#hidden.has(m.hostId),
      )
      .map((m) => ({ hostId: m.hostId, keyId: m.keyId, endpoints: this.endpointsOf(m) }))
  }

  refusal(hostId: number, keyId: string): string | undefined {
    if (this.removedWhy !== undefined) return `this host is no member any more: ${this.removedWhy}`
    return this.#refusalOf(hostId, keyId)
  }

  /** Of a member that is welcome; undefined: there is none of this number. */
  keyIdOf(hostId: number): string | undefined {
    const keyId = memberOf(this.#document, hostId)?.keyId
    return keyId !== undefined && this.refusal(hostId, keyId) === undefined ? keyId : undefined
  }

  isDuplicate(hostId: number, keyId: string): boolean {
    const member = memberOf(this.#document, hostId)
    if (member?.state !== 'active' || this.removedWhy !== undefined) return false
    return member.keyId !== keyId && !member.formerKeys.includes(keyId)
  }

  #refusalOf(hostId: number, keyId: string): string | undefined {
    const member = memberOf(this.#document, hostId)
    if (member === undefined) return `host ${hostId} is no member`
    if (member.formerKeys.includes(keyId)) return 'its key was revoked'
    if (member.state === 'revoked') return `host ${hostId} was revoked`
    if (member.state === 'left') return `host ${hostId} has left`
    return member.keyId === keyId ? undefined : `another key holds host ${hostId}`
  }

  /** Its own newest announcement first, then what it said when it joined. */
  endpointsOf(member: MemberRecord): string[] {
    const said = this.endpoints.get(member.hostId)?.endpoints ?? []
    return [...new Set([...said, ...member.endpoints])].slice(0, 2 * MAX_ENDPOINTS)
  }

  onChange(listener: OnChange): void {
    this.#listeners.add(listener)
  }

  /** Runs `refresh` as if these hosts were no members: the connections of their old keys end. */
  withoutHosts(hostIds: Iterable<number>, refresh: () => void): void {
    this.#hidden = new Set(hostIds)
    refresh()
    this.#hidden = new Set()
  }

  /**
   * A document from a peer. Signed by the CA it may still be old, or made from an old snapshot.
   * @throws {DocumentError} not signed by the CA, or unreadable
   */
  adopt(sealed: unknown): Adopted {
    const document = unseal(sealed, this.#caPem, this.#identity.cluster)
    const { text, signature } = sealed as SealedDocument
    if (text === this.#sealed.text) return { kind: 'known' }
    const reason = notSuccessor(this.#document, document)
    if (reason === undefined) {
      this.#follow(document, { text, signature })
      return { kind: 'newer' }
    }
    // An ancestor of the own document: the same exchange brings its sender up to date.
    if (notSuccessor(document, this.#document) === undefined) return { kind: 'known' }
    const key = this.caKeyPem
    if (key === undefined) return { kind: 'conflict', reason }
    const merged = merge(this.#document, document)
    this.#replace(merged, seal(merged, key))
    return { kind: 'merged' }
  }

  /** @throws {FlatnetError} this host does not hold the CA's key */
  change(...records: readonly MemberRecord[]): void {
    const document = withMembers(this.#document, ...records)
    this.#replace(document, seal(document, this.demandCaKey()))
  }

  demandCaKey(): string {
    const key = this.caKeyPem
    if (key !== undefined) return key
    if (this.files.read('caKeyPem') !== undefined) {
      const path = this.files.path('caKeyPem')
      throw new FlatnetError(
        'ERR_FLATNET_STORE',
        `${path} is not the key of this cluster's CA: put it back from a backup, ` +
          'or copy it from another host that admits',
      )
    }
    const admitting = this.#document.members.filter((m) => m.admits && m.state === 'active')
    const names = admitting.map((m) => `host ${m.hostId} (${m.name})`).join(' or ')
    throw new FlatnetError('ERR_FLATNET_CONFIG', `this host holds no ca.key: do it on ${names || 'no host'}`)
  }

  /** The CA's key was brought here, as after the loss of the host that had it: from now on the list says so. */
  becomeAdmin(): boolean {
    const own = memberOf(this.#document, this.#identity.hostId)
    if (own === undefined || own.admits || this.removedWhy !== undefined) return false
    if (this.caKeyPem === undefined) return false
    this.change({ ...own, admits: true })
    return true
  }

  /** @returns whether it is news; false as well when its signature is not the member's */
  putEndpoints(record: EndpointRecord): boolean {
    return this.isNews(record) && this.endpoints.put(record)
  }

  /** Whether it is the member's own announcement, and later than what is known. */
  isNews(record: EndpointRecord): boolean {
    const member = memberOf(this.#document, record.hostId)
    if (member?.state !== 'active') return false
    if ((this.endpoints.get(record.hostId)?.seq ?? -1) >= record.seq) return false
    return isSignedBy(record, this.#document.cluster, member.keyId)
  }

  /** @throws {Error} it is not for this host's key and number */
  renewed(certPem: string): void {
    const cert = new X509Certificate(certPem)
    const id = peerIdOf(cert, this.#identity.cluster)
    const isOurs = id?.hostId === this.#identity.hostId && keyIdOf(cert) === this.#keyId
    if (!isOurs || !cert.verify(new X509Certificate(this.#caPem).publicKey)) {
      throw new Error('the renewed certificate is not for this host')
    }
    this.files.write('certPem', certPem)
    this.#identity = { ...this.#identity, certPem, keyPem: this.#keyPem }
  }

  /** From here to the end of the present certificate; negative when it is over. */
  remainingMs(now: Millis): Millis {
    return Date.parse(new X509Certificate(this.#identity.certPem).validTo) - now
  }

  /** Whether what is known is on disk. Tries again when it is not. */
  keep(): boolean {
    if (this.#isKept) return true
    try {
      this.files.write('members', `${JSON.stringify(this.#sealed)}\n`)
      this.#isKept = true
    } catch (err) {
      if (!(err instanceof FlatnetError)) throw err
    }
    return this.#isKept
  }

  /** Another host's change. A full disk must not keep a revoked host in. */
  #follow(document: MembersDocument, sealed: SealedDocument): void {
    const before = this.#document
    this.#isKept = false
    this.#document = document
    this.#sealed = sealed
    this.keep()
    for (const listener of this.#listeners) listener(before, document)
  }

  /** A change made here: on disk before the host acts on it. */
  #replace(document: MembersDocument, sealed: SealedDocument): void {
    this.files.write('members', `${JSON.stringify(sealed)}\n`)
    this.#isKept = true
    const before = this.#document
    this.#document = document
    this.#sealed = sealed
    for (const listener of this.#listeners) listener(before, document)
  }
}
