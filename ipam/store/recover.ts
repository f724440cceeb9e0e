/** Rebuilds a block whose file is unreadable or gone: from its whole leases, the kernel and the keys. */

import { copyFileSync, existsSync, linkSync, renameSync, unlinkSync } from 'node:fs'
import { formatIpv4, type Ipv4, macOf, parseIpv4 } from '../../core/addr.ts'
import { hostIfname, sameAttachment } from '../../core/attachment.ts'
import { hasCode } from '../../core/errors.ts'
import type { Lease } from '../lease.ts'
import { type Block, type BrokenBlock, openBlock } from './block.ts'
import type { Key } from './keys.ts'
import { blockBaseOf } from './layout.ts'
import { leaseProblem } from './lease-check.ts'
import { ipv4 } from './octet.ts'
import { blockPath, type Store } from './store.ts'

/** undefined: the file is missing although keys lead to it. */
export type Cause = BrokenBlock | undefined

/**
 * Sets the file aside, writes what is known in its place and reports both. The lock is held.
 *
 * Sources, the first that knows an address wins: whole leases in the file, the live links of the kernel, the keys. A
 * key gives a lease without namespace: it holds its address until it is released or proven stale. When the keys were
 * lost too, the block is marked unsure, and a free address of it is given out only after `inUse` says no.
 */
export function recoverBlock(
  store: Store,
  base: Ipv4,
  cause: Cause,
  salvage: readonly Lease[] = cause?.salvage ?? [],
): Block {
  const path = blockPath(store, base)
  const keysBoot = store.keys.boot()
  const leases = new Map<string, Lease>()
  const add = (lease: Lease): void => {
    const isKnown = leases.has(lease.ip) || [...leases.values()].some((other) => sameAttachment(other, lease))
    if (!isKnown) leases.set(lease.ip, lease)
  }
  // The salvage of an old block is of 256 addresses.
  for (const lease of salvage) if (blockBaseOf(ipv4(lease.ip)) === base) add(lease)
  for (const lease of fromKernel(store, base)) add(lease)
  for (const key of store.keys.all()) {
    if (blockBaseOf(key.ip) === base) add(fromKey(store, key, keysBoot ?? store.bootId))
  }
  const db = openBlock(path, base, store.network)
  Object.assign(db.data.leases, Object.fromEntries(leases))
  if (store.keys.isBlind()) db.data.unsure = store.bootId
  const setAside = cause === undefined ? undefined : putAside(path)
  for (const lease of leases.values()) {
    // A key that leads elsewhere belongs to a newer lease of the attachment.
    if (store.keys.ipOf(lease) === undefined) store.keys.set(lease, parseIpv4(lease.ip) ?? base)
  }
  try {
    db.write()
  } catch (err) {
    // The file still has its own name: without this every attempt on a full disk would leave another.
    if (setAside !== undefined && existsSync(path)) unlinkSync(setAside)
    throw err
  }
  if (cause !== undefined || leases.size > 0) report(store, path, setAside, cause, leases.size)
  return db.data
}

/** The leases that the kernel knows in one block, or in all; malformed entries are left out. */
export function fromKernel(store: Store, base?: Ipv4): Lease[] {
  const block = ({ ip }: Lease): Ipv4 => base ?? blockBaseOf(parseIpv4(ip) ?? 0)
  return store
    .rebuild()
    .filter((lease) => leaseProblem(lease, lease.ip, block(lease), store.network) === undefined)
}

function fromKey(store: Store, { containerId, ifname, ip }: Key, keysBoot: string): Lease {
  const attachment = { network: store.network, containerId, ifname }
  return {
    ...attachment,
    ip: formatIpv4(ip),
    mac: macOf(ip),
    hostIfname: hostIfname(attachment),
    netns: '',
    netnsInode: '',
    bootId: keysBoot,
    createdAt: new Date().toISOString(),
    state: 'active',
  }
}

/**
 * A second name for the content, so that at no instant the block has no file; then the new one replaces it by rename.
 */
export function putAside(path: string): string {
  const aside = freeName(`${path}.broken-${new Date().toISOString().replaceAll(':', '')}`)
  try {
    linkSync(path, aside)
  } catch (err) {
    // A folder in the block's place cannot be linked; some file systems cannot link at all.
    if (hasCode(err, 'ENOTSUP', 'EMLINK')) copyFileSync(path, aside)
    else renameSync(path, aside)
  }
  return aside
}

/** The lock is held, so no other process makes such a name meanwhile. */
function freeName(path: string): string {
  for (let n = 0; ; n++) {
    const name = n === 0 ? path : `${path}-${n}`
    if (!existsSync(name)) return name
  }
}

function report(
  store: Store,
  path: string,
  setAside: string | undefined,
  cause: Cause,
  leases: number,
): void {
  const problem = cause?.message ?? 'it is missing although attachments have addresses of it'
  store.incidents.push({ path, ...(setAside !== undefined && { setAside }), problem, leases })
  const kept = setAside === undefined ? '' : `; its content is in ${setAside}`
  const err = new Error(`${path}: ${problem}${kept}`, { cause })
  store.log.error({ network: store.network, err }, 'rebuilt an unusable lease block')
}
