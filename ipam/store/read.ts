/** Reads leases without the lock: blocks are replaced whole, so the gateway and CHECK never wait. */

import type { Ipv4 } from '../../core/addr.ts'
import { BrokenBlock, emptyBlock, type Leases, OldBlock, openBlock } from './block.ts'
import { headOf, isHead } from './layout.ts'
import { blockBases, blockPath, guarded, type Store } from './store.ts'

/** All blocks, those of earlier slices too; of an unusable one only the whole leases. */
export function readBlocks(store: Store): Leases[] {
  return guarded(store, () => {
    const heads = blockBases(store)
      .filter(isHead)
      .map((base) => ({ base, ...read(store, base) }))
    const old = new Set(heads.filter(({ isOld }) => isOld).map(({ base }) => base))
    // Listed again: the parts of a block are written before its head.
    const parts = blockBases(store).filter((base) => !isHead(base) && !old.has(headOf(base)))
    return [...heads.map(({ leases }) => leases), ...parts.map((base) => readBlock(store, base))]
  })
}

export const readBlock = (store: Store, base: Ipv4): Leases => read(store, base).leases

/** @returns `isOld`: it holds 256 addresses, and block files of those addresses are ignored */
function read(store: Store, base: Ipv4): { leases: Leases; isOld: boolean } {
  const path = blockPath(store, base)
  const db = openBlock(path, base, store.network)
  try {
    db.read()
    return { leases: db.data, isOld: false }
  } catch (err) {
    if (err instanceof OldBlock) return { leases: err.content, isOld: true }
    if (!(err instanceof BrokenBlock)) throw err
    // The next writer, which has the lock, rebuilds it.
    const unusable = new Error(path, { cause: err })
    store.log.warn({ network: store.network, err: unusable }, 'read an unusable lease block')
    const leases = Object.fromEntries(err.salvage.map((lease) => [lease.ip, lease]))
    return { leases: { ...emptyBlock(), leases }, isOld: err.isOld }
  }
}
