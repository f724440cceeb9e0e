/**
 * The own table as others see it: signed claims, deltas and pages.
 *
 * It raises the epoch when a peer proves a later one.
 */

import { formatIpv4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import { isNewer, type Version } from '../registry/table.ts'
import type { ReplicationDeps } from './deps.ts'
import { TableHash } from './hash.ts'
import {
  claimIn,
  type Delta,
  type Hello,
  type KnownVersion,
  PROTOCOL,
  type Signed,
  type TablePage,
} from './messages.ts'
import { fitsOnePage, pagesOf } from './pages.ts'
import { wireRecord } from './record.ts'

type PublisherDeps = Pick<ReplicationDeps, 'registry' | 'slices' | 'signer' | 'newNonce' | 'saveEpoch'>

/** Of one container, to other hosts, which only show them. With more the record would be longer than a message. */
const MAX_PORTS = 16_384

const published = (a: Assignment): Assignment =>
  a.ports.length <= MAX_PORTS ? a : { ...a, ports: a.ports.slice(0, MAX_PORTS) }

export class Publisher {
  readonly #deps: PublisherDeps
  readonly #hash: TableHash
  #nonce: string
  /** What the hash has taken in. */
  #hashed: Version
  #signed: Signed | undefined
  #pages: { readonly signed: Signed; readonly pages: readonly TablePage[] } | undefined

  constructor(deps: PublisherDeps) {
    const { registry, slices } = deps
    this.#deps = deps
    this.#nonce = deps.newNonce()
    this.#hashed = this.version
    this.#hash = new TableHash(slices.sliceOf(registry.hostId), (ip) => {
      const holder = registry.holder(registry.hostId, ip)
      return holder && published(holder)
    })
  }

  get hostId(): number {
    return this.#deps.registry.hostId
  }

  get version(): Version {
    return this.#deps.registry.version(this.hostId)!
  }

  get nonce(): string {
    return this.#nonce
  }

  /** About the table as it is now; made once for each version. */
  signed(): Signed {
    const { epoch, seq } = this.version
    const last = this.#signed
    if (last !== undefined && last.epoch === epoch && last.seq === seq) return last
    this.#pages = undefined
    this.#rehash()
    const claim = { hostId: this.hostId, epoch, seq, nonce: this.#nonce, hash: this.#hash.value() }
    this.#signed = { ...claim, ...this.#deps.signer.sign(claim) }
    return this.#signed
  }

  hello(know: readonly KnownVersion[]): Hello {
    return { type: 'registry.hello', v: PROTOCOL, ...this.signed(), know }
  }

  /** From `have` to now: a delta where it is known and small, else the table; nothing when `have` is now. */
  since(have: Version | undefined): readonly (Delta | TablePage)[] {
    if (have !== undefined && !isNewer(this.version, have)) return []
    const { registry } = this.#deps
    const changes = have?.epoch === this.version.epoch ? registry.changesSince(have.seq) : undefined
    if (have === undefined || changes === undefined || !fitsOnePage(changes)) {
      return this.#wholeTable()
    }
    return [
      {
        type: 'registry.delta',
        ...claimIn(this.signed()),
        from: have.seq,
        size: registry.sizeOf(this.hostId),
        put: changes.put.map((a) => wireRecord(published(a))),
        del: changes.del.map(formatIpv4),
      },
    ]
  }

  /**
   * Takes a version above one that an earlier run signed, or that this very run never did: then memory was restored
   * or copied, and a new nonce keeps this run apart from the other.
   * @returns false when the proof is below what is used already
   */
  raise(proof: Signed): boolean {
    const isOtherRun = proof.epoch === this.version.epoch && proof.nonce !== this.#nonce
    if (!isOtherRun && !isNewer(proof, this.version)) return false
    const epoch = proof.epoch + 1
    this.#deps.saveEpoch(epoch)
    this.#deps.registry.raiseEpoch(epoch)
    if (proof.nonce === this.#nonce) this.#nonce = this.#deps.newNonce()
    return true
  }

  /** Made once for each version: after a start every peer asks for it. */
  #wholeTable(): readonly TablePage[] {
    const signed = this.signed()
    if (this.#pages?.signed !== signed) {
      const all = [...this.#deps.registry.all(this.hostId)]
      this.#pages = { signed, pages: pagesOf(signed, all.map(published), 0) }
    }
    return this.#pages.pages
  }

  #rehash(): void {
    const now = this.version
    const changes = this.#deps.registry.changesSince(this.#hashed.seq)
    if (changes === undefined) this.#hash.touchAll()
    else {
      for (const ip of changes.del) this.#hash.touch(ip)
      for (const assignment of changes.put) this.#hash.touchRecord(assignment)
    }
    this.#hashed = now
  }
}
