/** The store while its lock is held: blocks, keys and index change together (ipam/README.md). */

import { formatIpv4, type Ipv4 } from '../../core/addr.ts'
import { type Attachment, sameAttachment } from '../../core/attachment.ts'
import type { Millis } from '../../core/clock.ts'
import type { Lease } from '../lease.ts'
import { type Block, type BlockDb, BrokenBlock, OldBlock, openBlock } from './block.ts'
import {
  type BlockIndex,
  covers,
  cursorOf,
  emptyIndex,
  knows,
  note,
  setCursor,
  summarise,
} from './block-index.ts'
import { IndexFile } from './index-file.ts'
import type { AttachmentId } from './keys.ts'
import { blockBaseOf, headOf } from './layout.ts'
import { ipv4 } from './octet.ts'
import { type Cause, recoverBlock } from './recover.ts'
import { splitOld } from './split.ts'
import { asideBases, blockPath, indexPath, type Store } from './store.ts'

export class Session {
  readonly store: Store
  readonly #blocks = new Map<Ipv4, BlockDb>()
  readonly #index: IndexFile
  constructor(store: Store) {
    this.store = store
    this.#index = new IndexFile(indexPath(store))
  }

  dropIndex(): void {
    this.#index.drop()
  }

  /** Whether a block was rebuilt in this boot after its keys were lost too: something may hold its free addresses. */
  isUnsure(): boolean {
    return [...this.#blocks.values()].some(({ data }) => data.unsure === this.store.bootId)
  }

  /** Puts leases of containers that live already, each under its own address. */
  give(leases: readonly Lease[]): void {
    if (leases.length === 0) return
    this.#journaled('all', () => {
      for (const [base, given] of Map.groupBy(leases, baseOf)) {
        this.#announce(base)
        for (const lease of given) this.store.keys.set(lease, ipv4(lease.ip))
        this.#db(base).update((block) => {
          for (const lease of given) {
            block.leases[lease.ip] = lease
            delete block.released[lease.ip]
          }
        })
        this.#index.update(base, this.block(base))
      }
    })
  }

  /** A change that `settle` (open.ts) finds when it was cut short. */
  #journaled(id: AttachmentId | 'all', change: () => void, isNew = false): void {
    this.store.keys.openJournal(id, isNew)
    try {
      change()
    } finally {
      this.store.keys.closeJournal()
    }
  }

  /** The block as it is on disk, after a repair when it needs one. */
  block(base: Ipv4): Block {
    return this.#db(base).data
  }

  #db(base: Ipv4): BlockDb {
    const known = this.#blocks.get(base)
    if (known !== undefined) return known
    const { store } = this
    const db = openBlock(blockPath(store, base), base, store.network)
    const empty = db.data
    try {
      db.read()
      if (db.data === empty && this.#isHinted(base)) db.data = this.#recover(base, undefined)
    } catch (err) {
      db.data = this.#mend(base, err)
    }
    this.#blocks.set(base, db)
    return db
  }

  #mend(base: Ipv4, err: unknown): Block {
    const isOld = err instanceof OldBlock || (err instanceof BrokenBlock && err.isOld)
    if (isOld) {
      splitOld(this.store, base, err, true)
      this.#index.drop()
      for (const known of this.#blocks.keys()) if (headOf(known) === base) this.#blocks.delete(known)
    }
    if (err instanceof OldBlock) return this.block(base)
    if (err instanceof BrokenBlock) return this.#recover(base, err)
    throw err
  }

  #recover(base: Ipv4, cause: Cause): Block {
    this.#index.drop()
    return recoverBlock(this.store, base, cause)
  }

  /**
   * Whether a block that has no file should have one. Without an index all keys are read: slices of one block, or
   * another.
   */
  #isHinted(base: Ipv4): boolean {
    const index = this.#index.known()
    if (index !== undefined && covers(index, base)) return knows(index, base)
    return this.#bases().includes(base)
  }

  leaseAt(ip: Ipv4): Lease | undefined {
    return this.block(blockBaseOf(ip)).leases[formatIpv4(ip)]
  }

  leaseOf(attachment: Attachment): Lease | undefined {
    const ip = this.store.keys.ipOf(attachment)
    if (ip === undefined) return undefined
    const lease = this.leaseAt(ip)
    if (lease !== undefined && sameAttachment(lease, attachment)) return lease
    // Left by a kill between key and block, or by damage.
    this.store.keys.drop(attachment)
    return undefined
  }

  /**
   * Drops the key of a writer that was killed before the first write of its block: otherwise the block counts as lost,
   * and the key as one of its leases.
   */
  dropUnwritten(id: AttachmentId): void {
    const ip = this.store.keys.ipOf(id)
    if (ip !== undefined && !asideBases(this.store).includes(blockBaseOf(ip))) this.store.keys.drop(id)
  }

  /** Reads every block, also those that should exist and do not. */
  blocks(): Block[] {
    return this.#bases().map((base) => this.block(base))
  }

  #bases(): Ipv4[] {
    const hinted = this.store.keys.all().map((key) => blockBaseOf(key.ip))
    return [...new Set([...asideBases(this.store), ...hinted])]
  }

  /** Reads every block. */
  all(): Lease[] {
    return this.blocks().flatMap((block) => Object.values(block.leases))
  }

  /** Whether a free address may have an unknown holder: never released since its block was rebuilt without keys. */
  mayBeHeld(ip: Ipv4): boolean {
    const block = this.block(blockBaseOf(ip))
    return block.unsure === this.store.bootId && block.released[formatIpv4(ip)] === undefined
  }

  /** Key first, then the block: a lease on disk always has its key. */
  put(lease: Lease, isChosen: boolean): void {
    const ip = ipv4(lease.ip)
    const base = blockBaseOf(ip)
    const db = this.#db(base)
    this.#announce(base)
    const isNew = this.store.keys.ipOf(lease) !== ip
    const change = (): void => {
      if (isNew) this.store.keys.set(lease, ip)
      try {
        db.update((block) => {
          block.leases[lease.ip] = lease
          delete block.released[lease.ip]
          if (isChosen) block.cursor = lease.ip
        })
      } catch (err) {
        if (isNew) this.#tidy(lease)
        throw err
      }
    }
    this.#journaled(lease, change, isNew)
    this.#index.update(base, this.block(base), isChosen ? base : undefined)
  }

  /** The index learns of a block before its first write, so a block that is missing later was lost, and is not new. */
  #announce(base: Ipv4): void {
    const index = this.#index.known()
    if (index === undefined || !covers(index, base) || knows(index, base)) return
    this.#index.update(base, this.block(base))
  }

  /** Never throws: the caller has to see the error of the write. */
  #tidy(lease: Lease): void {
    try {
      this.store.keys.drop(lease)
    } catch {
      // A key without a lease is removed when met.
    }
  }

  /**
   * Same attachment, same address, other facts. Not synced: see `activate`. Nor in the journal, as no key changes: the
   * block is the old or the new one, and both have this lease.
   */
  rewrite(lease: Lease): void {
    const base = blockBaseOf(ipv4(lease.ip))
    const db = openBlock(blockPath(this.store, base), base, this.store.network, false)
    db.data = this.block(base)
    db.update((block) => {
      block.leases[lease.ip] = lease
    })
  }

  /** Blocks first, each written once, then the keys. */
  remove(leases: readonly Lease[], releasedAt: Millis): void {
    const [first, ...others] = leases
    if (first === undefined) return
    this.#journaled(others.length === 0 ? first : 'all', () => {
      for (const [base, gone] of Map.groupBy(leases, baseOf)) this.#removeFrom(base, gone, releasedAt)
    })
  }

  #removeFrom(base: Ipv4, gone: readonly Lease[], releasedAt: Millis): void {
    this.#db(base).update((block) => {
      for (const { ip } of gone) {
        delete block.leases[ip]
        block.released[ip] = releasedAt
      }
    })
    for (const lease of gone) {
      if (this.store.keys.ipOf(lease) === ipv4(lease.ip)) this.store.keys.drop(lease)
    }
    this.#index.update(base, this.block(base))
  }

  /** The index for a range; made anew from all blocks when there is none, or one for another range. */
  index(first: Ipv4, last: Ipv4): BlockIndex {
    const index = this.#index.known()
    return index?.first === first && index.last === last
      ? index
      : this.makeIndex(first, last, index && cursorOf(index))
  }

  makeIndex(first: Ipv4, last: Ipv4, cursor?: Ipv4): BlockIndex {
    this.#index.drop()
    const index = emptyIndex(first, last)
    if (cursor !== undefined && covers(index, cursor)) setCursor(index, cursor)
    for (const base of this.#bases()) {
      if (covers(index, base)) note(index, base, summarise(this.block(base), base, index))
    }
    this.#index.save(index)
    return index
  }
}

const baseOf = (lease: Lease): Ipv4 => blockBaseOf(ipv4(lease.ip))
