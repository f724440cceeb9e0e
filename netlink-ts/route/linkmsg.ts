/**
 * RTM_*LINK on the wire: ifinfomsg and IFLA_*.
 *
 * @see include/uapi/linux/rtnetlink.h, if_link.h, rtnetlink(7)
 */

import { type AttrSpecs, type AttrValues, attrs, keyed, many, nested } from '../attrs.ts'
import {
  bytes,
  type Codec,
  chars,
  cstring,
  decode,
  headed,
  type Infer,
  i32,
  pad,
  struct,
  u8,
  u16,
  u32,
} from '../codec.ts'
import type { Reply } from '../message.ts'
import { type BridgeData, linkKinds } from './kinds.ts'
import { formatMac } from './mac.ts'

/** include/uapi/linux/if.h. */
export const IFF_UP = 0x1

/**
 * rtnetlink(7). `index` 0: the kernel chooses one, or finds the link by name; `change`: which bits of `flags` count.
 */
const ifinfomsg = struct('ifinfomsg', {
  family: u8,
  pad: pad(1),
  type: u16,
  index: i32,
  flags: u32,
  change: u32,
})
export type LinkHeader = Infer<typeof ifinfomsg>

/** IFLA_BRPORT_*: what a bridge knows about its port. */
const bridgePort = attrs('IFLA_BRPORT', {
  /** BR_STATE_*: 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking. */
  state: [1, u8],
  priority: [2, u16],
  cost: [3, u32],
  /** Hairpin. */
  mode: [4, u8],
  guard: [5, u8],
  protect: [6, u8],
  fastLeave: [7, u8],
  learning: [8, u8],
  unicastFlood: [9, u8],
  proxyArp: [10, u8],
  multicastFlood: [27, u8],
  neighSuppress: [32, u8],
  isolated: [33, u8],
})

const BASE = {
  txQueueLen: [13, u32],
  operstate: [16, u8],
  linkMode: [17, u8],
  mtu: [4, u32],
  group: [27, u32],
  promiscuity: [30, u32],
  master: [10, u32],
  carrier: [33, u8],
  /** Without NUL, which the kernel would keep. An empty alias removes the present one. */
  ifalias: [20, chars],
  address: [1, bytes],
  broadcast: [2, bytes],
  netNsPid: [19, u32],
  netNsFd: [28, u32],
  ifname: [3, cstring],
  afSpec: [26, bytes],
  propList: [52, nested(attrs('IFLA_PROP', { altNames: [53, many(cstring)] }))],
  altIfname: [53, cstring],
  extMask: [29, u32],
  /** Only in messages of the family AF_BRIDGE. */
  protinfo: [12, nested(bridgePort)],
} as const satisfies AttrSpecs

/** The value of VETH_INFO_PEER: a link message whose linkinfo is not used. */
interface PeerMessage {
  header: LinkHeader
  attrs: AttrValues<typeof BASE>
}
const peer: () => Codec<PeerMessage> = () => linkmsg

/** IFLA_INFO_*. */
const linkInfo = attrs('IFLA_INFO', {
  kind: [1, chars],
  data: [2, keyed('kind', linkKinds(peer))],
  slaveKind: [4, chars],
  slaveData: [5, keyed('slaveKind', { bridge: bridgePort })],
})

/** IFLA_*, in the order of iproute2's requests. */
const linkAttrs = attrs('IFLA', {
  ...BASE,
  linkInfo: [18, linkInfo],
  linkNetnsid: [37, i32],
  /** Index of a pair's other end, or of a stacked link's parent, in the namespace `linkNetnsid`. */
  link: [5, u32],
})
export type LinkAttrs = Infer<typeof linkAttrs>

export const linkmsg = headed(ifinfomsg, linkAttrs)

export interface Link {
  readonly index: number
  readonly name: string
  readonly altNames: readonly string[]
  readonly mtu: number
  readonly txQueueLen: number
  /** Device group; 0 is the default one. */
  readonly group: number
  /** Canonical `aa:bb:cc:dd:ee:ff`; empty for links without one. */
  readonly address: string
  /** IFF_* */
  readonly flags: number
  /** Set up by an administrator; says nothing about the carrier. */
  readonly isUp: boolean
  /** IF_OPER_* of RFC 2863: 0 unknown, 2 down, 3 lower layer down, 5 dormant, 6 up. */
  readonly operstate: number
  /** Index of the bridge or bond that this is a port of. */
  readonly master: number | undefined
  /** Index of the other end (veth), in the namespace `linkNetnsid`, or the socket's when that is undefined. */
  readonly link: number | undefined
  readonly linkNetnsid: number | undefined
  /** `veth`, `bridge`, `tun`, …; undefined for hardware and `lo`. */
  readonly kind: string | undefined
  readonly alias: string | undefined
  readonly bridge: BridgeData | undefined
  /** As port of a bridge. */
  readonly port: { readonly hairpin: boolean; readonly isolated: boolean; readonly state: number } | undefined
}

export function linkFrom(reply: Reply): Link {
  const { header, attrs } = decode(linkmsg, reply.payload)
  const info = attrs.linkInfo
  const port = info?.slaveData?.bridge
  return {
    index: header.index,
    name: attrs.ifname ?? '',
    altNames: attrs.propList?.altNames ?? [],
    mtu: attrs.mtu ?? 0,
    txQueueLen: attrs.txQueueLen ?? 0,
    group: attrs.group ?? 0,
    address: formatMac(attrs.address ?? new Uint8Array(0)),
    flags: header.flags,
    isUp: (header.flags & IFF_UP) !== 0,
    operstate: attrs.operstate ?? 0,
    master: attrs.master,
    link: attrs.link,
    linkNetnsid: attrs.linkNetnsid,
    kind: info?.kind,
    alias: attrs.ifalias,
    bridge: info?.data?.bridge,
    port: port && { hairpin: port.mode === 1, isolated: port.isolated === 1, state: port.state ?? 0 },
  }
}
