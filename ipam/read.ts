/** Reading leases without the lock, for which blocks are replaced whole: the gateway and CHECK never wait for a writer. */
import type { Ipv4 } from '../core/addr.ts'
import { type Block, BrokenBlock, emptyBlock, openBlock } from './block.ts'
import { blockBases, blockPath, guarded, type Store } from './store.ts'

/** All blocks, those of earlier slices too; of an unusable one only the whole leases. */
export function readBlocks(store: Store): Block[] {
  return guarded(store, () => blockBases(store).map((base) => readBlock(store, base)))
}

export function readBlock(store: Store, base: Ipv4): Block {
  const path = blockPath(store, base)
  const db = openBlock(path, base, store.network)
  try {
    db.read()
    return db.data
  } catch (err) {
    if (!(err instanceof BrokenBlock)) throw err
    // Rebuilt by the next writer, who has the lock.
    const unusable = new Error(path, { cause: err })
    store.log.warn({ network: store.network, err: unusable }, 'read an unusable lease block')
    return { ...emptyBlock(), leases: Object.fromEntries(err.salvage.map((lease) => [lease.ip, lease])) }
  }
}
