/**
 * Whether the holder of a lease is provably gone: another boot, or its network namespace is no longer there
 * (docs/architecture/leases.md#stale).
 */

import { statSync } from 'node:fs'
import type { Lease } from './lease.ts'

export type StaleReason = 'another boot' | 'no namespace' | 'another namespace'

/** `<dev>:<ino>` of a namespace file; undefined when there is none. Throws when that cannot be told. */
export type InodeOf = (path: string) => string | undefined

export interface LiveFacts {
  /** Of the running kernel. */
  readonly bootId: string
  readonly netnsInode: InodeOf
  /**
   * Whether the kernel still has what the lease stands for: the host end of the veth with the attachment in its alias.
   * True when that cannot be told, as for delegated IPAM: what is not provably gone stays.
   */
  isLive(lease: Lease): boolean
}

/** undefined: not provably stale, so the lease stays. */
export function staleReason(lease: Lease, bootId: string, inodeOf: InodeOf): StaleReason | undefined {
  if (lease.bootId !== bootId) return 'another boot'
  // Made from its key or its link only (recover.ts): the namespace is not known.
  if (lease.netns === '') return undefined
  let inode: string | undefined
  try {
    inode = inodeOf(lease.netns)
  } catch {
    return undefined
  }
  if (inode === undefined) return 'no namespace'
  return inode === lease.netnsInode ? undefined : 'another namespace'
}

/**
 * Whether another attachment may have the address. Stale alone is not enough in this boot: a namespace can outlive its
 * file (logind unmounts /run/user/0 below rootless containers), and then its veth still stands. Nor is it needed: inode
 * numbers come back, so a path may seem to hold a namespace that is gone. An active lease whose link is gone holds
 * nothing.
 */
export function isReclaimable(lease: Lease, facts: LiveFacts): boolean {
  const reason = staleReason(lease, facts.bootId, facts.netnsInode)
  if (reason === 'another boot') return true
  // Delegated IPAM: its link is another plugin's, so the namespace alone tells.
  if (lease.hostIfname === '') return reason !== undefined || (lease.netns === '' && !facts.isLive(lease))
  // Of an ADD under way: its link is still to come.
  if (lease.state === 'pending' && reason === undefined && lease.netns !== '') return false
  return !facts.isLive(lease)
}

/** `<dev>:<ino>` of what CNI_NETNS names, as kept in a lease; undefined when there is no such file. */
export function netnsInode(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}
