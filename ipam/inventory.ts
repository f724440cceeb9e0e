/** Lists and counts leases without the lock, and collects those whose holder is gone. */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseIpv4 } from '../core/addr.ts'
import type { Clock } from '../core/clock.ts'
import { hasCode } from '../core/errors.ts'
import { sweepTemps } from '../kernel/durable.ts'
import { type Counts, countBlocks } from './choose/counts.ts'
import type { Slice } from './choose/slice.ts'
import type { Lease } from './lease.ts'
import { isReclaimable, type LiveFacts, staleReason } from './stale.ts'
import { inSession } from './store/open.ts'
import { readBlocks } from './store/read.ts'
import { isPresent, type Store } from './store/store.ts'

/** All leases of the network, by address. Lock-free; blocks that cannot be read are logged and left out. */
export function list(store: Store): Lease[] {
  const number = (lease: Lease): number => parseIpv4(lease.ip) ?? 0
  return readBlocks(store)
    .flatMap((block) => Object.values(block.leases))
    .sort((a, b) => number(a) - number(b))
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
export function counts(
  store: Store,
  slice: Slice,
  facts: Pick<LiveFacts, 'bootId' | 'netnsInode'>,
  clock: Clock,
): Counts {
  const isStale = (lease: Lease): boolean => staleReason(lease, facts.bootId, facts.netnsInode) !== undefined
  return countBlocks(readBlocks(store), slice, clock.now(), isStale)
}

/**
 * Releases one lease that was listed as stale, if it is unchanged and still stale: its attachment may have started
 * again and taken it over.
 * @param clear removes the kernel objects under the lease's names. It runs under the lock, so that no ADD of the same
 *   attachment creates them again meanwhile; when it returns false the lease stays
 * @returns false when the lease has changed or had to stay
 */
export function releaseStale(
  store: Store,
  seen: Lease,
  facts: LiveFacts,
  clock: Clock,
  clear: () => boolean = () => true,
): boolean {
  if (!isPresent(store)) return false
  return inSession(store, (session) => {
    const lease = session.leaseOf(seen)
    if (lease === undefined || !isSameHold(lease, seen) || !isReclaimable(lease, facts) || !clear())
      return false
    session.remove([lease], clock.now())
    return true
  })
}

const isSameHold = (a: Lease, b: Lease): boolean =>
  a.ip === b.ip && a.createdAt === b.createdAt && a.bootId === b.bootId && a.netnsInode === b.netnsInode

/**
 * Releases every lease whose holder is provably gone, and removes what killed writers left.
 * @returns the released leases: rules and links under their names may still exist
 */
export function collectStale(store: Store, facts: LiveFacts, clock: Clock): Lease[] {
  if (!isPresent(store)) return []
  return inSession(store, (session) => {
    sweepTemps(store.folder)
    const stale = session.all().filter((lease) => isReclaimable(lease, facts))
    session.remove(stale, clock.now())
    return stale
  })
}
