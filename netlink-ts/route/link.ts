/**
 * Links: requests that make, change and delete them, look them up and list them.
 *
 * One RTM_NEWLINK carries a whole bridge or veth pair.
 */

import { encode } from '../codec.ts'
import { Errno, NetlinkError } from '../errors.ts'
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, type Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import type { BridgeData } from './kinds.ts'
import { IFF_UP, type Link, type LinkAttrs, type LinkHeader, linkFrom, linkmsg } from './linkmsg.ts'

export type { Link } from './linkmsg.ts'

import { macBytes } from './mac.ts'

const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_GETLINK = 18
const RTM_SETLINK = 19
const RTM_NEWLINKPROP = 108
const RTM_DELLINKPROP = 109

/** A name with its NUL. */
const IFNAMSIZ = 16
/** The statistics are a third of a link message. include/uapi/linux/rtnetlink.h. */
const RTEXT_FILTER_SKIP_STATS = 1 << 3

/** Which link. `index` is certain; `name` saves a look-up and may be an alternative name of up to 127 bytes. */
export type LinkTarget =
  | { readonly index: number; readonly name?: undefined }
  | { readonly name: string; readonly index?: undefined }

const noHeader: LinkHeader = { family: 0, type: 0, index: 0, flags: 0, change: 0 }

const nameOf = (target: LinkTarget): string => target.name ?? `index ${target.index}`

/** The attribute that names a link, for messages with index 0. */
function byName(name: string): LinkAttrs {
  return Buffer.byteLength(name) < IFNAMSIZ ? { ifname: name } : { altIfname: name }
}

const selected = (target: LinkTarget): { header: LinkHeader; attrs: LinkAttrs } => ({
  header: { ...noHeader, index: target.index ?? 0 },
  attrs: target.name === undefined ? {} : byName(target.name),
})

export function linkGetRequest(target: LinkTarget): Request {
  const { header, attrs } = selected(target)
  return {
    op: `RTM_GETLINK ${nameOf(target)}`,
    type: RTM_GETLINK,
    flags: 0,
    payload: encode(linkmsg, { header, attrs: { ...attrs, extMask: RTEXT_FILTER_SKIP_STATS } }),
  }
}

/** @returns undefined when there is no such link in the namespace of the socket */
export const linkByName = (socket: NetlinkSocket, name: string): Link | undefined => get(socket, { name })
export const linkByIndex = (socket: NetlinkSocket, index: number): Link | undefined => get(socket, { index })

function get(socket: NetlinkSocket, target: LinkTarget): Link | undefined {
  try {
    const [reply] = socket.execute(linkGetRequest(target))
    return reply && linkFrom(reply)
  } catch (err) {
    if (err instanceof NetlinkError && err.errno === Errno.ENODEV) return undefined
    throw err
  }
}

export interface LinkFilter {
  readonly kind?: string | undefined
  /** Index of the bridge whose ports to list. */
  readonly master?: number | undefined
}

export function linkList(socket: NetlinkSocket, filter: LinkFilter = {}): Link[] {
  const { kind, master } = filter
  const links = socket.execute({
    op: 'RTM_GETLINK',
    type: RTM_GETLINK,
    flags: NLM_F_DUMP,
    payload: encode(linkmsg, {
      header: noHeader,
      attrs: {
        master,
        extMask: RTEXT_FILTER_SKIP_STATS,
        linkInfo: kind === undefined ? undefined : { kind },
      },
    }),
  })
  // The kernel does not filter by a kind whose module is not loaded, and before 4.5 not at all.
  return links
    .map(linkFrom)
    .filter((l) => (kind === undefined || l.kind === kind) && (master === undefined || l.master === master))
}

export interface LinkChange {
  readonly up?: boolean | undefined
  readonly mtu?: number | undefined
  readonly address?: string | undefined
  /** Index of a bridge; 0 takes the link out of its bridge. */
  readonly master?: number | undefined
  /** At most 255 bytes; an empty one removes it. */
  readonly alias?: string | undefined
  readonly txQueueLen?: number | undefined
  /** Device group, 32 bits, by which rules may match; 0 is the default one. */
  readonly group?: number | undefined
  /**
   * A new name, for a target by index. EBUSY: the link is up, and the kernel too old to rename it then (before 6.x).
   */
  readonly rename?: string | undefined
  /** Descriptor of a namespace to move the link to, where it arrives down. */
  readonly netns?: number | undefined
}

/** Attributes that RTM_NEWLINK and RTM_SETLINK share. */
const changeAttrs = (change: LinkChange): LinkAttrs => ({
  txQueueLen: change.txQueueLen,
  mtu: change.mtu,
  group: change.group,
  master: change.master,
  ifalias: change.alias,
  address: change.address === undefined ? undefined : macBytes(change.address),
  netNsFd: change.netns,
})

const upFlags = (up: boolean | undefined): { flags: number; change: number } => ({
  flags: up === true ? IFF_UP : 0,
  change: up === undefined ? 0 : IFF_UP,
})

function addRequest(name: string, header: LinkHeader, attrs: LinkAttrs): Request {
  return {
    op: `RTM_NEWLINK ${name}`,
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: encode(linkmsg, { header, attrs: { ifname: name, ...attrs } }),
  }
}

export interface BridgeOptions {
  readonly name: string
  readonly mtu?: number | undefined
  /** Without it the bridge takes the lowest MAC of its ports, which changes as they come and go. */
  readonly address?: string | undefined
  readonly txQueueLen?: number | undefined
  readonly up?: boolean | undefined
  /** As in the kernel, e.g. `{ stpState: 0, ageingTime: 30000, vlanFiltering: 0 }`. */
  readonly bridge?: BridgeData | undefined
}

/** EEXIST when any link has the name. */
export const bridgeAddRequest = (options: BridgeOptions): Request =>
  addRequest(
    options.name,
    { ...noHeader, ...upFlags(options.up) },
    {
      ...changeAttrs(options),
      linkInfo: { kind: 'bridge', data: options.bridge && { bridge: options.bridge } },
    },
  )

/** Changes options of a bridge. */
export function bridgeSetRequest(target: LinkTarget & { readonly bridge: BridgeData }): Request {
  const { header, attrs } = selected(target)
  const linkInfo = { kind: 'bridge', data: { bridge: target.bridge } }
  return {
    op: `RTM_NEWLINK ${nameOf(target)} bridge`,
    type: RTM_NEWLINK,
    flags: 0,
    payload: encode(linkmsg, { header, attrs: { ...attrs, linkInfo } }),
  }
}

export interface VethOptions {
  readonly name: string
  readonly address?: string | undefined
  readonly mtu?: number | undefined
  /** Index of a bridge. */
  readonly master?: number | undefined
  readonly txQueueLen?: number | undefined
  readonly group?: number | undefined
  readonly up?: boolean | undefined
  /** The other end, which starts down: the kernel cannot create it up (ENOTCONN) before the first end exists. */
  readonly peer: {
    readonly name: string
    readonly address?: string | undefined
    readonly mtu?: number | undefined
    /** Descriptor of its namespace; absent: the socket's. */
    readonly netns?: number | undefined
  }
}

/**
 * EEXIST: either name is taken in its namespace, and nothing was made.
 * The kernel ignores IFLA_IFALIAS here: send `linkSetRequest({ name, alias })` after it, in the same `executeAll`.
 */
export function vethAddRequest(options: VethOptions): Request {
  const { peer } = options
  const end = { header: noHeader, attrs: { ifname: peer.name, ...changeAttrs(peer) } }
  return addRequest(
    options.name,
    { ...noHeader, ...upFlags(options.up) },
    { ...changeAttrs(options), linkInfo: { kind: 'veth', data: { veth: { peer: end } } } },
  )
}

/** Not atomic in the kernel: an error in a later attribute leaves the earlier ones changed. */
export function linkSetRequest(target: LinkTarget & LinkChange): Request {
  const { header, attrs } = selected(target)
  if (target.rename !== undefined && target.index === undefined)
    throw new TypeError('a link is renamed by its index: IFLA_IFNAME would be both the old and the new name')
  return {
    op: `RTM_SETLINK ${nameOf(target)}`,
    type: RTM_SETLINK,
    flags: 0,
    payload: encode(linkmsg, {
      header: { ...header, ...upFlags(target.up) },
      attrs: {
        ...changeAttrs(target),
        ...attrs,
        ...(target.rename !== undefined && { ifname: target.rename }),
      },
    }),
  }
}

/**
 * Gives a link one more name, of up to 127 bytes, which goes with the link. EEXIST: any link of the namespace has it as
 * its name or alternative name; EOPNOTSUPP: before Linux 5.5.
 */
export const linkAltNameAddRequest = (target: AltNameTarget): Request => ({
  op: `RTM_NEWLINKPROP ${nameOf(target)} ${target.altName}`,
  type: RTM_NEWLINKPROP,
  flags: NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND,
  payload: altNamePayload(target),
})

/** Removes an alternative name. EINVAL: the link does not have it. */
export const linkAltNameDelRequest = (target: AltNameTarget): Request => ({
  op: `RTM_DELLINKPROP ${nameOf(target)} ${target.altName}`,
  type: RTM_DELLINKPROP,
  flags: 0,
  payload: altNamePayload(target),
})

type AltNameTarget = LinkTarget & { readonly altName: string }

function altNamePayload(target: AltNameTarget): Uint8Array {
  const { header, attrs } = selected(target)
  return encode(linkmsg, { header, attrs: { ...attrs, propList: { altNames: [target.altName] } } })
}

/** Deleting one end of a veth pair deletes both. ENODEV: the link is gone already. */
export function linkDelRequest(target: LinkTarget): Request {
  return {
    op: `RTM_DELLINK ${nameOf(target)}`,
    type: RTM_DELLINK,
    flags: 0,
    payload: encode(linkmsg, selected(target)),
  }
}

export interface BridgePortChange {
  readonly hairpin?: boolean | undefined
  readonly isolated?: boolean | undefined
  readonly learning?: boolean | undefined
}

/**
 * Changes a link as a port of its bridge, by RTM_NEWLINK and IFLA_INFO_SLAVE_DATA, as `ip link set … type
 * bridge_slave`. Unlike RTM_SETLINK of AF_BRIDGE it accepts a name, so it can follow the creation of the link in one
 * send.
 */
export function bridgePortSetRequest(target: LinkTarget & BridgePortChange): Request {
  const { header, attrs } = selected(target)
  const bit = (on: boolean | undefined) => (on === undefined ? undefined : Number(on))
  const bridge = { mode: bit(target.hairpin), learning: bit(target.learning), isolated: bit(target.isolated) }
  return {
    op: `RTM_NEWLINK ${nameOf(target)} bridge_slave`,
    type: RTM_NEWLINK,
    flags: 0,
    payload: encode(linkmsg, {
      header,
      attrs: { ...attrs, linkInfo: { slaveKind: 'bridge', slaveData: { bridge } } },
    }),
  }
}
