/**
 * Published ports: elements of two maps in `inet flatnet`. Each names its owner, the host interface, in its comment;
 * only an owner's own elements are ever deleted (facts: CNI D5).
 */

import type { Request } from 'netlink-ts/message.ts'
import { conntrackFlush, conntrackFlushByDump } from 'netlink-ts/netfilter/conntrack.ts'
import { setElemGet } from 'netlink-ts/netfilter/elemget.ts'
import { concat, port as portBytes } from 'netlink-ts/netfilter/keys.ts'
import { NFPROTO_INET, nftGeneration, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import {
  type SetElement,
  setElemAddRequest,
  setElemDelRequest,
  setElemList,
} from 'netlink-ts/netfilter/set.ts'
import { linkByName } from 'netlink-ts/route/link.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Ipv4, ipv4Bytes, parseIpv4 } from '../core/addr.ts'
import type { PortMapping } from '../core/api.ts'
import { parseAlias } from '../core/attachment.ts'
import { FlatnetError } from '../core/errors.ts'
import { Netfilter } from './netfilter.ts'
import { TABLE } from './rules.ts'

/** IANA protocol numbers. */
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const
const SETS = ['ports', 'ports_any'] as const
type SetName = (typeof SETS)[number]
/** 64 KiB hold about 800 elements; half of that leaves room for comments. */
const CHUNK = 400
const ENOENT = 2
const ERESTART = 85

interface Slot {
  readonly mapping: PortMapping
  readonly set: SetName
  readonly key: Uint8Array
}

function slotOf(mapping: PortMapping): Slot {
  const protocol = Uint8Array.of(PROTOCOLS[mapping.protocol])
  const hostPort = portBytes(mapping.hostPort)
  const hostIp = parseIpv4(mapping.hostIP)
  return hostIp === undefined
    ? { mapping, set: 'ports_any', key: concat(protocol, hostPort) }
    : { mapping, set: 'ports', key: concat(protocol, ipv4Bytes(hostIp), hostPort) }
}

const show = ({ protocol, hostIP, hostPort }: PortMapping): string =>
  `${protocol} ${hostIP || '*'}:${hostPort}`

/** The elements at the slots, in their order. */
function present(socket: NetlinkSocket, slots: readonly Slot[]): (SetElement | undefined)[] {
  const found = new Map<Slot, SetElement | undefined>()
  for (const set of SETS) {
    const ours = slots.filter((slot) => slot.set === set)
    for (let i = 0; i < ours.length; i += CHUNK) {
      const part = ours.slice(i, i + CHUNK)
      const elements = setElemGet(
        socket,
        NFPROTO_INET,
        TABLE,
        set,
        part.map((s) => s.key),
      )
      part.forEach((slot, j) => {
        found.set(slot, elements[j])
      })
    }
  }
  return slots.map((slot) => found.get(slot))
}

type Decision = 'add' | 'replace' | 'keep' | 'conflict'

export interface SlotFacts {
  /** What stands there; undefined when nothing does. */
  readonly owner: string | undefined
  readonly isSameTarget: boolean
  /** The container of the owner's interface; undefined when that interface is gone. */
  readonly ownerContainer: string | undefined
}

/**
 * Pure. A stale owner's element is replaced, a live one's is a conflict. The same container on two networks has the
 * same ports twice (Podman gives every network the whole list): the first network keeps them.
 */
export function decideSlot(facts: SlotFacts, owner: string, containerId: string | undefined): Decision {
  if (facts.owner === undefined) return 'add'
  if (facts.owner === owner) return facts.isSameTarget ? 'keep' : 'replace'
  if (facts.ownerContainer === undefined) return 'replace'
  return facts.ownerContainer === containerId ? 'keep' : 'conflict'
}

/**
 * @param host rtnetlink, to tell live owners from stale ones
 * @param owner host interface of the container, which has to stand already
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
  const containers = new Map<string, string | undefined>()
  const containerOf = (ifname: string): string | undefined => {
    if (!containers.has(ifname)) {
      containers.set(ifname, parseAlias(linkByName(host, ifname)?.alias ?? '')?.attachment.containerId)
    }
    return containers.get(ifname)
  }
  const slots = mappings.map(slotOf)
  const standing = present(socket, slots)
  const add: Slot[] = []
  const remove: Slot[] = []
  slots.forEach((slot, i) => {
    const element = standing[i]
    const facts = factsOf(element, dataOf(slot, ip), containerOf)
    const decision = decideSlot(facts, owner, containerOf(owner))
    if (decision === 'conflict') throw taken(slot.mapping, facts)
    if (decision === 'replace') remove.push(slot)
    if (decision !== 'keep') add.push(slot)
  })
  change(socket, remove, (part) => setElemDelRequest(part))
  change(
    socket,
    add,
    (part) => setElemAddRequest(part),
    (slot) => ({
      key: slot.key,
      data: dataOf(slot, ip),
      comment: owner,
    }),
  )
  flushUdp(socket, mappings)
}

const dataOf = ({ mapping }: Slot, ip: Ipv4): Uint8Array =>
  concat(ipv4Bytes(ip), portBytes(mapping.containerPort))

function factsOf(
  element: SetElement | undefined,
  data: Uint8Array,
  containerOf: (ifname: string) => string | undefined,
): SlotFacts {
  const owner = element === undefined ? undefined : (element.comment ?? '')
  return {
    owner,
    isSameTarget: element?.data !== undefined && Buffer.compare(element.data, data) === 0,
    ownerContainer: owner ? containerOf(owner) : undefined,
  }
}

const taken = (mapping: PortMapping, { owner, ownerContainer }: SlotFacts): FlatnetError =>
  new FlatnetError(
    'ERR_FLATNET_NFTABLES',
    `host port ${show(mapping)} is published by container ${ownerContainer}: choose another host port or stop that container`,
    { facts: { owner, ownerContainer } },
  )

function change(
  socket: NetlinkSocket,
  slots: readonly Slot[],
  request: (part: Parameters<typeof setElemDelRequest>[0]) => ReturnType<typeof setElemDelRequest>,
  element: (slot: Slot) => SetElement = ({ key }) => ({ key }),
): void {
  for (const set of SETS) {
    const ours = slots.filter((slot) => slot.set === set)
    for (let i = 0; i < ours.length; i += CHUNK) {
      const elements = ours.slice(i, i + CHUNK).map(element)
      nftTransaction(socket, [request({ family: NFPROTO_INET, table: TABLE, set, elements })])
    }
  }
}

/** Takes an owner's elements away; those of others at the same places stay, and so does a missing table. */
export function unpublishPorts(mappings: readonly PortMapping[], owner: string, shared?: Netfilter): void {
  if (mappings.length === 0) return
  using single = new Netfilter()
  const { socket } = shared ?? single
  const slots = mappings.map(slotOf)
  const standing = present(socket, slots)
  const own = slots.filter((_, i) => standing[i] !== undefined && standing[i]?.comment === owner)
  removeQuietly(() => change(socket, own, (part) => setElemDelRequest(part)))
  flushUdp(socket, mappings)
}

/** For a lost lease: every element that names the owner, found by reading both maps whole. */
export function unpublishOwner(owner: string): void {
  unpublishWhere(() => (comment) => comment === owner)
}

/** Busy rulesets change between look and deletion; what is left then goes with the next run. */
const MAX_ROUNDS = 50

/**
 * Elements whose owner is gone go; for reconcile and `flatnet gc`. The kernel deletes by key alone: it does so only
 * while the ruleset is the one that was looked at, or an element that a new owner put there meanwhile would go.
 * @param judge called after the elements were read: an owner that published one of them stood before
 * @returns how many went
 */
export function unpublishWhere(judge: () => (owner: string) => boolean): number {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  let count = 0
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const generation = nftGeneration(socket)
    const listed = SETS.map((set) => ({ set, elements: listOf(socket, set) }))
    const isGone = judge()
    const [part] = listed.flatMap(({ set, elements }) => {
      const gone = elements.filter((element) => isGone(element.comment ?? '')).slice(0, CHUNK)
      return gone.length > 0 ? [{ family: NFPROTO_INET, table: TABLE, set, elements: gone }] : []
    })
    if (part === undefined) break
    if (removedAt(socket, setElemDelRequest(part), generation)) count += part.elements.length
  }
  return count
}

function removedAt(socket: NetlinkSocket, request: Request, generation: number): boolean {
  try {
    nftTransaction(socket, [request], generation)
    return true
  } catch (err) {
    if (isAbsent(err) || hasErrno(err, ERESTART)) return false
    throw err
  }
}

function listOf(socket: NetlinkSocket, set: SetName): SetElement[] {
  try {
    return setElemList(socket, NFPROTO_INET, TABLE, set)
  } catch (err) {
    if (isAbsent(err)) return []
    throw err
  }
}

/** The ports that CHECK misses. */
export function missingPorts(mappings: readonly PortMapping[]): PortMapping[] {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  const standing = present(socket, mappings.map(slotOf))
  return mappings.filter((_, i) => standing[i] === undefined)
}

const hasErrno = (err: unknown, errno: number): boolean =>
  err instanceof Error && 'errno' in err && err.errno === errno
const isAbsent = (err: unknown): boolean => hasErrno(err, ENOENT)

/** Somebody flushed the ruleset between our look and our deletion: gone is gone. */
function removeQuietly(remove: () => void): void {
  try {
    remove()
  } catch (err) {
    if (!isAbsent(err)) throw err
  }
}

/**
 * UDP has no end of a connection: a client that keeps sending keeps the old translation alive for ever, so the entries
 * of these host ports go (plugins #123). Best effort: without conntrack there is nothing to flush.
 */
function flushUdp(socket: NetlinkSocket, mappings: readonly PortMapping[]): void {
  const ports = new Set(mappings.flatMap((m) => (m.protocol === 'udp' ? [m.hostPort] : [])))
  const protocol = PROTOCOLS.udp
  try {
    // The kernel walks its whole table for each message, whether that names a port or lists all.
    if (ports.size > MAX_FLUSHES) conntrackFlushByDump(socket, { protocol }, ports)
    else for (const origDstPort of ports) conntrackFlush(socket, { protocol, origDstPort })
  } catch {
    // See above.
  }
}

const MAX_FLUSHES = 32
