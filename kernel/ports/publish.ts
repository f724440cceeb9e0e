/**
 * Published ports: elements of two maps in the table `inet flatnet`, each with its owners in the comment.
 *
 * The map `ports_any` (`ports` for a given host address) sends a host port to a container. One container on the
 * networks A and B has two host interfaces, and Podman publishes its port 8080 on both:
 *
 *   ADD on A, by fnaaaaaaaaaa   tcp . 8080 : 10.100.1.10 . 80  comment "fnaaaaaaaaaa"
 *   ADD on B, by fnbbbbbbbbbb   tcp . 8080 : 10.100.1.10 . 80  comment "fnaaaaaaaaaa fnbbbbbbbbbb"   B joins
 *   DEL on A                    tcp . 8080 : 10.200.1.10 . 80  comment "fnbbbbbbbbbb"                B inherits
 *   DEL on B                    (no element)
 *
 * The first name owns the element; the others are its heirs. Another container that asks for 8080 is refused while
 * fnaaaaaaaaaa or fnbbbbbbbbbb exists, and replaces the element when neither does. Each line is one transaction, so a
 * packet never finds the port without its container, and only an owner's elements are deleted
 * (docs/architecture/cni.md#d5). claims.ts judges comments, maps.ts speaks to the kernel, settle.ts repeats an edit
 * that lost a race.
 */

import { Errno } from 'netlink-ts/errors.ts'
import type { Request } from 'netlink-ts/message.ts'
import { nftGeneration, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import type { SetElement } from 'netlink-ts/netfilter/set.ts'
import { linkIndex } from 'netlink-ts/route/ifreq.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { Ipv4 } from '../../core/addr.ts'
import type { PortMapping } from '../../core/api.ts'
import { FlatnetError } from '../../core/errors.ts'
import { Netfilter } from '../netfilter.ts'
import { claimants, inherited, readClaims } from './claims.ts'
import {
  CHUNK,
  type Edit,
  flushUdp,
  hasErrno,
  isAbsent,
  listOf,
  type Part,
  partsOf,
  present,
  requestsOf,
  SETS,
  type Slot,
  show,
  slotOf,
} from './maps.ts'
import { type Judged, judge, MAX_ROUNDS, settle } from './settle.ts'

/**
 * @param host rtnetlink, to tell live owners from stale ones
 * @param owner host interface of the container, which must exist already
 * @throws {FlatnetError} ERR_FLATNET_NFTABLES naming the port and its owner when a live container has it
 */
export function publishPorts(
  host: NetlinkSocket,
  mappings: readonly PortMapping[],
  ip: Ipv4,
  owner: string,
  shared?: Netfilter,
): void {
  if (mappings.length === 0) return
  using single = new Netfilter()
  const { socket } = shared ?? single
  settle(host, socket, mappings, ip, owner, (judged) => {
    const conflict = judged.find(({ decision }) => decision === 'conflict')
    if (conflict !== undefined) throw taken(conflict)
  })
}

/**
 * For the repair: as `publishPorts`, but ports that a live container has by now stay its own.
 * @returns how many elements were put in or changed
 */
export function restorePorts(
  host: NetlinkSocket,
  mappings: readonly PortMapping[],
  ip: Ipv4,
  owner: string,
): number {
  if (mappings.length === 0) return 0
  using single = new Netfilter()
  return settle(host, single.socket, mappings, ip, owner, () => {})
}

const taken = ({ slot, holder, standing }: Judged): FlatnetError =>
  new FlatnetError(
    'ERR_FLATNET_NFTABLES',
    `host port ${show(slot.mapping)} is published by container ${holder?.attachment.containerId}: ` +
      'choose another host port or stop that container',
    { facts: { owner: readClaims(standing?.comment)[0], ownerContainer: holder?.attachment.containerId } },
  )

/**
 * Deletes an owner's elements; elements of others with the same ports stay, and a missing table is fine. Where the same
 * container published the port on another network too, that interface inherits it in the same transaction.
 */
export function unpublishPorts(
  host: NetlinkSocket,
  mappings: readonly PortMapping[],
  owner: string,
  shared?: Netfilter,
): void {
  if (mappings.length === 0) return
  using single = new Netfilter()
  const { socket } = shared ?? single
  // While the owner's interface exists no other container replaces its elements.
  const isReplaceable = linkIndex(host, owner) === undefined
  const removed = partsOf(mappings.map(slotOf)).map((part) =>
    removePart(host, socket, part, owner, isReplaceable),
  )
  flushUdp(
    socket,
    removed.flatMap(({ free }) => free.map(({ mapping }) => mapping)),
  )
  const edits = removed.flatMap((part) => part.edits)
  refuseDeadHeirs(host, mappings, edits, shared)
}

interface Removed {
  readonly edits: readonly Edit[]
  /** The ports without an element of another owner. */
  readonly free: readonly Slot[]
}

/**
 * @param isGuarded only if the ruleset has not changed since it was read: the kernel deletes by key alone, and would
 * delete the element that a new owner has added meanwhile
 */
function removePart(
  host: NetlinkSocket,
  socket: NetlinkSocket,
  part: Part,
  owner: string,
  isGuarded: boolean,
): Removed {
  for (let round = 0; ; round++) {
    const generation = isGuarded ? nftGeneration(socket) : undefined
    const found = present(socket, part.slots)
    const look = claimants(host)
    const free = part.slots.filter((_, i) => isOwnersOrNone(found[i], owner))
    const edits = part.slots.flatMap((slot, i): Edit[] => {
      const standing = found[i]
      const isOurs = standing !== undefined && isOwnersOrNone(standing, owner)
      return isOurs ? [{ slot, standing, element: inherited(standing, look) }] : []
    })
    if (edits.length === 0) return { edits, free }
    const isDone = removedAt(socket, requestsOf(part.set, edits), generation)
    if (isDone || round === MAX_ROUNDS) return { edits, free }
  }
}

const isOwnersOrNone = (standing: SetElement | undefined, owner: string): boolean =>
  standing === undefined || readClaims(standing.comment)[0] === owner

/** Deletes what an heir inherited whose own DEL had looked for its elements just before. */
function refuseDeadHeirs(
  host: NetlinkSocket,
  mappings: readonly PortMapping[],
  edits: readonly Edit[],
  shared: Netfilter | undefined,
): void {
  const heirs = new Set(edits.flatMap(({ element }) => readClaims(element?.comment).slice(0, 1)))
  const look = claimants(host)
  for (const heir of heirs) {
    if (heir !== '' && look(heir) === undefined) unpublishPorts(host, mappings, heir, shared)
  }
}

/** For a lost lease: every element of the owner, found by reading both maps whole. */
export function unpublishOwner(host: NetlinkSocket, owner: string): void {
  unpublishWhere(host, () => (name) => name === owner)
}

/**
 * Deletes elements whose owner is gone; for reconcile and `flatnet gc`. The kernel deletes by key alone, so each edit
 * is bound to the generation that was read: an element that a new owner has added meanwhile stays.
 * @param judge called after the elements were read: the owner of each existed before
 * @returns how many were deleted
 */
export function unpublishWhere(host: NetlinkSocket, judge: () => (owner: string) => boolean): number {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  let count = 0
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const generation = nftGeneration(socket)
    const listed = SETS.map((set) => ({ set, elements: listOf(socket, set) }))
    const isGone = judge()
    const look = claimants(host)
    const [part] = listed.flatMap(({ set, elements }) => {
      const gone = elements.filter(({ comment }) => isGone(readClaims(comment)[0] ?? '')).slice(0, CHUNK)
      return gone.length > 0 ? [{ set, gone }] : []
    })
    if (part === undefined) break
    const { set, gone } = part
    const edits = gone.map((standing) => ({
      slot: { set, key: standing.key },
      standing,
      element: inherited(standing, look),
    }))
    if (removedAt(socket, requestsOf(set, edits), generation)) count += gone.length
  }
  return count
}

function removedAt(
  socket: NetlinkSocket,
  requests: readonly Request[],
  generation: number | undefined,
): boolean {
  try {
    nftTransaction(socket, requests, generation)
    return true
  } catch (err) {
    if (isAbsent(err) || hasErrno(err, Errno.ERESTART)) return false
    throw err
  }
}

/** The ports that CHECK misses: their element is absent, or leads to another container. */
export function missingPorts(
  host: NetlinkSocket,
  mappings: readonly PortMapping[],
  ip: Ipv4,
  owner: string,
): PortMapping[] {
  using single = new Netfilter()
  return judge(single.socket, claimants(host), mappings, ip, owner).flatMap(({ slot, decision }) =>
    decision === 'keep' || decision === 'join' ? [] : [slot.mapping],
  )
}
