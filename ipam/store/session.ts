/** The store while its lock is held: blocks, keys and index kept in step, in an order that any kill -9 leaves sound. */
import { formatIpv4, type Ipv4 } from '../../core/addr.ts'
import { type Attachment, attachmentKey, sameAttachment } from '../../core/attachment.ts'
import { type Millis, systemClock } from '../../core/clock.ts'
import { sweepTemps } from '../../kernel/durable.ts'
import { type Adoption, adoptionOf } from '../adoption.ts'
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
import { type Cause, fromKernel, recoverBlock } from './recover.ts'
import { splitAll, splitOld } from './split.ts'
import { asideBases, blockPath, indexPath, locked, type Store } from './store.ts'

/** Opens a session under the lock. What `fn` changed in memory is on disk when it changed it, or `fn` threw. */
export function inSession<T>(store: Store, fn: (session: Session) => T): T {
  return locked(store, () => {
    const session = new Session(store)
    session.ready()
    session.settle()
    return fn(session)
  })
}

export class Session {
  readonly store: Store
  readonly #blocks = new Map<Ipv4, BlockDb>()
  readonly #index: IndexFile
  constructor(store: Store) {
    this.store = store
    this.#index = new IndexFile(indexPath(store))
  }

  /** Once per boot, after the keys were lost, and in a store of an older layout: makes keys for all leases, and drops what has none. */
  ready(): void {
    const { store } = this
    if (store.keys.isSigned(store.bootId)) return
    sweepTemps(store.folder)
    this.#index.drop()
    // The store is new, or was lost in part or whole.
    const isLost = store.keys.boot() === undefined
    if (isLost) store.keys.begin()
    splitAll(store)
    if (isLost) this.adopt(systemClock.now())
    // Read, and if need be recovered with the help of the old keys, before the keys are touched.
    const leases = this.all().sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt))
    store.keys.begin()
    const wanted = new Map(leases.map((lease) => [attachmentKey(lease), lease]))
    for (const key of store.keys.all()) {
      const name = attachmentKey({ ...key, network: store.network })
      const lease = wanted.get(name)
      if (lease === undefined) store.keys.drop(key)
      else if (lease.ip === formatIpv4(key.ip)) wanted.delete(name)
    }
    for (const lease of wanted.values()) store.keys.set(lease, ipv4(lease.ip))
    const isBlind = [...this.#blocks.values()].some(({ data }) => data.unsure === store.bootId)
    store.keys.sign(store.bootId, isBlind)
  }

  /** What lives in the kernel has its lease afterwards. Cut short, the store is still old, only less so. */
  adopt(now: Millis): Adoption {
    const adoption = adoptionOf(this.all(), fromKernel(this.store))
    this.remove(adoption.dropped, now)
    this.#give(adoption.adopted)
    return adoption
  }

  #give(leases: readonly Lease[]): void {
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

  /** Clears up after a writer that was killed, so that no two keys ever lead to one address. */
  settle(): void {
    const { keys, folder } = this.store
    const ids = keys.leftOver()
    if (ids === undefined) return
    sweepTemps(folder)
    for (const id of ids) this.leaseOf({ ...id, network: this.store.network })
    keys.closeJournal()
  }

  /** A change that, when it is cut short, `settle` finds. */
  #journaled(id: AttachmentId | 'all', change: () => void): void {
    this.store.keys.openJournal(id)
    try {
      change()
    } finally {
      this.store.keys.closeJournal()
    }
  }

  /** The block as it is on disk, made whole first when it is not. */
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

  /** Whether a block that has no file should have one. Without an index all keys are read: slices of one block, or another. */
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

  /** Reads every block, those too that should be there and are not. */
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

  /** Whether a free address may have a holder that nobody knows: never released since its block was rebuilt blindly. */
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
    this.#journaled(lease, () => {
      const isNew = this.store.keys.ipOf(lease) !== ip
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
    })
    this.#index.update(base, this.block(base), isChosen ? base : undefined)
  }

  /** Before a block is first written the index knows of it: a block that is missing later was lost, and is not new. */
  #announce(base: Ipv4): void {
    const index = this.#index.known()
    if (index === undefined || !covers(index, base) || knows(index, base)) return
    this.#index.update(base, this.block(base))
  }

  /** The error of the write is what the caller has to see. */
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
