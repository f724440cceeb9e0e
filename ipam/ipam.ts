/**
 * The verbs of a lease's life: acquire, activate, release, find.
 *
 * Each verb that writes takes the network's lock, with a bound.
 */

import { formatIpv4, type Ipv4, macOf, parseIpv4 } from '../core/addr.ts'
import type { PortMapping } from '../core/api.ts'
import { type Attachment, sameAttachment } from '../core/attachment.ts'
import type { Clock } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import { adoptIn } from './adopt.ts'
import { countBlocks, topHolders } from './choose/counts.ts'
import { nextAddress } from './choose/next.ts'
import { addressHeld, addressRefused, attachmentLive, noAddress } from './choose/refusals.ts'
import { refusalOf, type Slice } from './choose/slice.ts'
import { list } from './inventory.ts'
import type { Lease } from './lease.ts'
import { isReclaimable, type LiveFacts, staleReason } from './stale.ts'
import { blockBaseOf } from './store/layout.ts'
import { inSession } from './store/open.ts'
import { readBlock } from './store/read.ts'
import type { Session } from './store/session.ts'
import { guarded, isPresent, type Store } from './store/store.ts'

export interface LeaseRequest extends LiveFacts {
  readonly slice: Slice
  readonly attachment: Attachment
  /** Canonical. Absent: any. The static zone, between bridge and first address, is given out only when asked for. */
  readonly requestedIp?: string
  readonly netns: string
  /** `<dev>:<ino>` of `netns`. */
  readonly inode: string
  /** Absent: derived from the address. `''` for delegated IPAM, where another plugin makes the interface. */
  readonly mac?: string
  /** `''` for delegated IPAM. */
  readonly hostIfname: string
  readonly name?: string
  readonly aliases?: readonly string[]
  readonly ports?: readonly PortMapping[]
  readonly httpPort?: number
  /** ISO 8601, UTC. */
  readonly createdAt: string
  /**
   * Whether the kernel knows a holder of an address that the store calls free. Asked only for blocks that had to be
   * rebuilt after their keys were lost too; without it such a block gives nothing new out before the next boot.
   */
  inUse?(ip: string): boolean
  /**
   * The kernel knew a holder of an address that the store called free, so the store is old: containers that live in the
   * kernel get their leases back first, and no address that is `inUse` is chosen.
   */
  readonly isDoubtful?: boolean
}

export interface Acquired {
  /** `pending`, and on disk. */
  readonly lease: Lease
  /** What the same attachment held before: its kernel objects may still stand. */
  readonly tookOver?: Lease
  /** Stale leases of others that had to go: rules under their addresses may still stand. */
  readonly reclaimed: readonly Lease[]
}

/**
 * Gives an attachment an address. Undo with `release`: the address then rests like any other, which costs nothing
 * as resting never refuses a container, and something may have been sent from it already.
 * @throws {FlatnetError} NO_ADDRESS, ADDRESS_NOT_AVAILABLE, ATTACHMENT_LIVE, TRY_AGAIN, STORE
 */
export function acquire(store: Store, request: LeaseRequest, clock: Clock): Acquired {
  const { attachment, slice } = request
  const requested = request.requestedIp === undefined ? undefined : requestedOf(request, request.requestedIp)
  return inSession(store, (session) => {
    if (request.isDoubtful === true) adoptIn(session, clock)
    const old = session.leaseOf(attachment)
    if (old !== undefined && isProvablyLive(old, request)) throw attachmentLive(old)
    const kept = requested ?? keptOf(slice, old)
    if (old !== undefined && kept !== parseIpv4(old.ip) && !isGone(old, request)) throw attachmentLive(old)
    const { ip, reclaimed } =
      kept === undefined ? anyAddress(session, request, clock) : claim(session, request, kept, clock)
    if (old !== undefined && old.ip !== formatIpv4(ip)) session.remove([old], clock.now())
    const lease = leaseFrom(store, request, ip)
    session.put(lease, kept === undefined)
    return { lease, ...(old !== undefined && { tookOver: old }), reclaimed }
  })
}

function requestedOf({ slice }: LeaseRequest, text: string): Ipv4 {
  const ip = parseIpv4(text)
  const reason = ip === undefined ? 'it is not an IPv4 address' : refusalOf(slice, ip)
  if (ip === undefined || reason !== undefined) throw addressRefused(slice, text, reason ?? '')
  return ip
}

/** The address that the attachment had, when this slice can still give it. */
function keptOf(slice: Slice, old: Lease | undefined): Ipv4 | undefined {
  const ip = old === undefined ? undefined : parseIpv4(old.ip)
  return ip === undefined || refusalOf(slice, ip) !== undefined ? undefined : ip
}

/** The same attachment in another namespace or boot is a restart whose DEL was lost, and no reason to refuse. */
function isProvablyLive(lease: Lease, request: LeaseRequest): boolean {
  return (
    lease.state === 'active' &&
    lease.netnsInode === request.inode &&
    staleReason(lease, request.bootId, request.netnsInode) === undefined &&
    request.isLive(lease)
  )
}

/**
 * A move frees the old address, so the old link, which would still answer on it, must be gone (DEL, or the end of its
 * namespace).
 */
const isGone = (lease: Lease, request: LeaseRequest): boolean =>
  !request.isLive(lease) || isReclaimable(lease, request)

interface Chosen {
  readonly ip: Ipv4
  readonly reclaimed: readonly Lease[]
}

function claim(session: Session, request: LeaseRequest, ip: Ipv4, clock: Clock): Chosen {
  const holder = session.leaseAt(ip)
  if (holder === undefined) {
    if (session.mayBeHeld(ip) && request.inUse?.(formatIpv4(ip)) !== false) {
      const reason = 'its lease was lost with the store, and something may still hold it until the next boot'
      throw addressRefused(request.slice, formatIpv4(ip), reason)
    }
    return { ip, reclaimed: [] }
  }
  if (sameAttachment(holder, request.attachment)) return { ip, reclaimed: [] }
  if (!isReclaimable(holder, request)) throw addressHeld(holder)
  session.remove([holder], clock.now())
  return { ip, reclaimed: [holder] }
}

function anyAddress(session: Session, request: LeaseRequest, clock: Clock): Chosen {
  const isHeld = (ip: Ipv4): boolean =>
    (request.isDoubtful === true || session.mayBeHeld(ip)) && request.inUse?.(formatIpv4(ip)) !== false
  const ip = nextAddress(session, request.slice, isHeld)
  if (ip !== undefined) return { ip, reclaimed: [] }
  const reclaimed = session.all().filter((lease) => isReclaimable(lease, request))
  session.remove(reclaimed, clock.now())
  const freed = nextAddress(session, request.slice, isHeld)
  if (freed !== undefined) return { ip: freed, reclaimed }
  const isStale = (lease: Lease): boolean =>
    staleReason(lease, request.bootId, request.netnsInode) !== undefined
  const counts = countBlocks(session.blocks(), request.slice, clock.now(), isStale)
  throw noAddress(request.slice, counts, topHolders(session.all()))
}

function leaseFrom(store: Store, request: LeaseRequest, ip: Ipv4): Lease {
  const { attachment, netns, inode, hostIfname, createdAt } = request
  const { name, aliases, ports, httpPort } = request
  return {
    ip: formatIpv4(ip),
    network: attachment.network,
    containerId: attachment.containerId,
    ifname: attachment.ifname,
    mac: request.mac ?? macOf(ip),
    hostIfname,
    netns,
    netnsInode: inode,
    bootId: store.bootId,
    ...(name !== undefined && { name }),
    ...(aliases !== undefined && { aliases }),
    ...(ports !== undefined && { ports }),
    ...(httpPort !== undefined && { httpPort }),
    createdAt,
    state: 'pending',
  }
}

export type LeasePatch = Partial<
  Pick<Lease, 'mac' | 'hostIfname' | 'name' | 'aliases' | 'ports' | 'httpPort'>
>

/**
 * The kernel objects stand: `pending` becomes `active`.
 *
 * Replaced by rename but not synced, which saves a third of what the disk costs an ADD: the page cache survives this
 * process, and after a loss of power the boot id differs, so the lease is stale in either state.
 * @throws {FlatnetError} ERR_FLATNET_STORE when the lease is gone: `flatnet gc` or the gateway collected it meanwhile
 */
export function activate(store: Store, attachment: Attachment, patch: LeasePatch = {}): Lease {
  return inSession(store, (session) => {
    const lease = session.leaseOf(attachment)
    if (lease === undefined) {
      throw new FlatnetError(
        'ERR_FLATNET_STORE',
        `the lease of container ${attachment.containerId} on ${attachment.ifname} was removed while ` +
          'it was being attached; start the container again',
      )
    }
    const active: Lease = { ...lease, ...patch, state: 'active' }
    session.rewrite(active)
    return active
  })
}

/** Gives the address back; it rests from now on. Idempotent: undefined when there was no lease. */
export function release(store: Store, attachment: Attachment, clock: Clock): Lease | undefined {
  if (!isPresent(store)) return undefined
  return inSession(store, (session) => {
    const lease = session.leaseOf(attachment)
    if (lease !== undefined) session.remove([lease], clock.now())
    return lease
  })
}

/** The lease of an attachment. Lock-free; reads one block. */
export function find(store: Store, attachment: Attachment): Lease | undefined {
  return guarded(store, () => {
    // Keys of another boot may be missing.
    if (!store.keys.isSigned(store.bootId)) {
      return list(store).find((lease) => sameAttachment(lease, attachment))
    }
    const ip = store.keys.ipOf(attachment)
    if (ip === undefined) return undefined
    const lease = readBlock(store, blockBaseOf(ip)).leases[formatIpv4(ip)]
    return lease !== undefined && sameAttachment(lease, attachment) ? lease : undefined
  })
}
