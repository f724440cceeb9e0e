/** The leases on disk as the gateway sees them: which are live, and the assignment of each attachment. */

import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ipv4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import { attachmentKey } from '../../core/attachment.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import { isObject } from '../../core/json.ts'
import { assignmentOf } from '../../ipam/assignment.ts'
import type { Lease } from '../../ipam/lease.ts'
import { staleReason } from '../../ipam/stale.ts'
import {
  BLOCK_SIZE,
  baseOfFileName,
  blockFileName,
  headOf,
  isHead,
  isOldBlock,
  OLD_BLOCK_SIZE,
} from '../../ipam/store/layout.ts'
import { leaseProblem } from '../../ipam/store/lease-check.ts'
import { bootId } from '../../kernel/boot.ts'

export interface LeaseSnapshot {
  /** Active, and their namespace is there. */
  readonly live: readonly Lease[]
  /** Being made: not shown, but the address is taken. */
  readonly pending: readonly Lease[]
  /** Their container is gone without a DEL; never shown. */
  readonly stale: readonly Lease[]
  /** Files that could not be read; what they hold is unknown, so nothing of their network is dropped. */
  readonly unreadable: readonly { readonly network: string; readonly cause: unknown }[]
}

export interface LeaseSource {
  /** One consistent reading; never throws for a missing folder. */
  read(): Promise<LeaseSnapshot>
}

/** Reads `<dataDir>/ipam/<network>/<block>.json`. Files are replaced by rename, so each is whole. */
export function diskLeases(dataDir: string): LeaseSource {
  const root = join(dataDir, 'ipam')
  return {
    async read() {
      const leases: Lease[] = []
      const unreadable: { network: string; cause: unknown }[] = []
      for (const network of await folders(root)) {
        try {
          leases.push(...(await readNetwork(join(root, network), network)))
        } catch (cause) {
          unreadable.push({ network, cause })
        }
      }
      return { ...(await sorted(leases)), unreadable }
    },
  }
}

async function folders(root: string): Promise<string[]> {
  try {
    const entries = await readdir(root, { withFileTypes: true })
    return entries.filter((e) => e.isDirectory()).map((e) => e.name)
  } catch (err) {
    if (hasCode(err, 'ENOENT')) return []
    throw err
  }
}

/**
 * Reads heads first, and lists the folder anew for the others: an old block has made its parts when it becomes a head
 * (ipam/store/split.ts).
 */
async function readNetwork(folder: string, network: string): Promise<Lease[]> {
  const heads = (await basesIn(folder)).filter(isHead)
  const leases: Lease[] = []
  const old = new Set<Ipv4>()
  for (const base of heads) {
    const block = await readBlock(folder, base, network)
    leases.push(...block.leases)
    if (block.isOld) old.add(base)
  }
  for (const base of await basesIn(folder)) {
    if (isHead(base) || old.has(headOf(base))) continue
    leases.push(...(await readBlock(folder, base, network)).leases)
  }
  return leases
}

/** Index, lock, temp files and blocks set aside are none. */
async function basesIn(folder: string): Promise<Ipv4[]> {
  return (await readdir(folder)).map(baseOfFileName).filter((base) => base !== undefined)
}

/** @throws {FlatnetError} STORE: what is broken is mended under the lock (kernel-view.ts), not by this reader */
async function readBlock(
  folder: string,
  base: Ipv4,
  network: string,
): Promise<{ leases: Lease[]; isOld: boolean }> {
  const file = blockFileName(base)
  let text: string
  try {
    text = await readFile(join(folder, file), 'utf8')
  } catch (err) {
    if (hasCode(err, 'ENOENT')) return { leases: [], isOld: false }
    throw err
  }
  const block: unknown = JSON.parse(text)
  const leases = isObject(block) ? block['leases'] : undefined
  if (!isObject(block) || !isObject(leases))
    throw new FlatnetError('ERR_FLATNET_STORE', `${file} is not a block of leases`)
  const isOld = isOldBlock(block['version'], base)
  const whole = Object.entries(leases).map(([ip, lease]) => {
    const problem = leaseProblem(lease, ip, base, network, isOld ? OLD_BLOCK_SIZE : BLOCK_SIZE)
    if (problem !== undefined) throw new FlatnetError('ERR_FLATNET_STORE', `${file}: lease ${ip}: ${problem}`)
    return lease as Lease
  })
  return { leases: whole, isOld }
}

async function sorted(leases: readonly Lease[]): Promise<Omit<LeaseSnapshot, 'unreadable'>> {
  const inodeOf = await inodesOf(leases)
  const live: Lease[] = []
  const pending: Lease[] = []
  const stale: Lease[] = []
  for (const lease of leases) {
    if (staleReason(lease, bootId(), inodeOf) !== undefined) stale.push(lease)
    else (lease.state === 'active' ? live : pending).push(lease)
  }
  return { live, pending, stale }
}

/** What staleReason asks, gathered beforehand: it is synchronous, and the daemon must not wait for a file system. */
async function inodesOf(leases: readonly Lease[]): Promise<(path: string) => string | undefined> {
  const inodes = new Map<string, string | undefined | Error>()
  for (const { netns } of leases) {
    if (netns === '' || inodes.has(netns)) continue
    try {
      const { dev, ino } = await stat(netns, { bigint: true })
      inodes.set(netns, `${dev}:${ino}`)
    } catch (err) {
      inodes.set(netns, hasCode(err, 'ENOENT', 'ENOTDIR') ? undefined : (err as Error))
    }
  }
  return (path) => {
    const inode = inodes.get(path)
    if (inode instanceof Error) throw inode
    return inode
  }
}

/** The leases of one attachment as one assignment; `ips` in the order of the blocks. */
export function assignmentsOf(leases: readonly Lease[], hostId: number, prefixLen: number): Assignment[] {
  const byKey = new Map<string, Assignment>()
  for (const lease of leases) {
    const one = assignmentOf(lease, hostId, prefixLen)
    const other = byKey.get(attachmentKey(lease))
    byKey.set(attachmentKey(lease), other === undefined ? one : { ...other, ips: [...other.ips, ...one.ips] })
  }
  return [...byKey.values()]
}
