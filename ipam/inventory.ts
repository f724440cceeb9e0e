/** Looking at leases without the lock, which blocks are replaced whole for; and collecting those nobody holds any more. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Attachment, sameAttachment } from '../core/attachment.ts'
import type { Clock } from '../core/clock.ts'
import { hasCode, sweepTemps } from '../kernel/durable.ts'
import { type Block, BrokenBlock, blockBaseOf, openBlock } from './block.ts'
import { type Counts, countBlocks } from './counts.ts'
import type { AttachmentId } from './keys.ts'
import type { Lease } from './lease.ts'
import { inSession } from './session.ts'
import type { Slice } from './slice.ts'
import { isReclaimable, type LiveFacts, type StaleFacts, staleReason } from './stale.ts'
import { blockBases, blockPath, guarded, isPresent, type Store } from './store.ts'

/** The lease of an attachment. Lock-free; reads one block. */
export function find(store: Store, attachment: Attachment): Lease | undefined {
  return guarded(store, () => {
    // Keys of another boot may be missing.
    if (store.keys.boot() !== store.bootId) {
      return list(store).find((lease) => sameAttachment(lease, attachment))
    }
    const ip = store.keys.ipOf(attachment)
    const block = ip === undefined ? undefined : readBlock(store, blockBaseOf(ip))
    return Object.values(block?.leases ?? {}).find((lease) => sameAttachment(lease, attachment))
  })
}

/** All leases of the network, by address. Lock-free; blocks that cannot be read are logged and left out. */
export function list(store: Store): Lease[] {
  return readBlocks(store).flatMap((block) => Object.values(block.leases))
}

/** Names of the networks that have a store, sorted. */
export function listNetworks(dataDir: string): string[] {
  try {
    return readdirSync(join(dataDir, 'ipam'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort()
  } catch (err) {
    if (hasCode(err, 'ENOENT')) return []
    throw err
  }
}

/** Lock-free. Stats the namespace file of every lease. */
export function counts(store: Store, slice: Slice, facts: StaleFacts, clock: Clock): Counts {
  const isStale = (lease: Lease): boolean => staleReason(lease, facts) !== undefined
  return countBlocks(readBlocks(store), slice, clock.now(), isStale)
}

function readBlocks(store: Store): Block[] {
  return guarded(store, () => blockBases(store).flatMap((base) => readBlock(store, base) ?? []))
}

function readBlock(store: Store, base: number): Block | undefined {
  const path = blockPath(store, base)
  const db = openBlock(path, base, store.network)
  try {
    db.read()
    return db.data
  } catch (err) {
    if (!(err instanceof BrokenBlock)) throw err
    // Rebuilt by the next writer, who has the lock.
    store.log.warn({ path, err }, 'left out an unusable lease block')
    return undefined
  }
}

/**
 * Gives back every lease whose holder is provably gone, and removes what killed writers left.
 * @returns the leases that were given back: rules and links under their names may still stand
 */
export function collectStale(store: Store, facts: LiveFacts, clock: Clock): Lease[] {
  if (!isPresent(store)) return []
  return inSession(store, (session) => {
    guarded(store, () => sweepTemps(store.folder))
    const stale = session.all().filter((lease) => isReclaimable(lease, facts))
    session.remove(stale, clock.now())
    return stale
  })
}

/**
 * CNI GC: the leases of this network whose attachment is not in `keep`. Nothing is changed: the caller takes the kernel
 * objects down first, then releases each, as DEL does.
 */
export function gcNetwork(store: Store, keep: readonly AttachmentId[]): Lease[] {
  const kept = new Set(keep.map(({ containerId, ifname }) => `${containerId}:${ifname}`))
  return list(store).filter(({ containerId, ifname }) => !kept.has(`${containerId}:${ifname}`))
}
