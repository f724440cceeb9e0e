/** IFLA_INFO_DATA of the link kinds that this package makes or reads. include/uapi/linux/if_link.h, veth.h. */

import { attrs } from '../attrs.ts'
import { bytes, type Codec, type Infer, struct, thunk, u8, u16, u32 } from '../codec.ts'

/** IFLA_BR_*: times are USER_HZ ticks (1/100 s) as unsigned 64-bit on read, 32-bit on write. */
export const bridgeData = attrs('IFLA_BR', {
  forwardDelay: [1, u32],
  helloTime: [2, u32],
  maxAge: [3, u32],
  /** Ticks of 10 ms. */
  ageingTime: [4, u32],
  /** 0 off, 1 kernel, 2 user space. */
  stpState: [5, u32],
  priority: [6, u16],
  vlanFiltering: [7, u8],
  vlanProtocol: [8, bytes],
  groupFwdMask: [9, u16],
  rootId: [10, bytes],
  bridgeId: [11, bytes],
  rootPort: [12, u16],
  rootPathCost: [13, u32],
  topologyChange: [14, u8],
  topologyChangeDetected: [15, u8],
  groupAddr: [20, bytes],
  multicastSnooping: [23, u8],
  vlanDefaultPvid: [39, u16],
  /** BR_BOOLOPT_*: bits, and which of them are meant. Linux 5.0. */
  boolOptions: [46, struct('br_boolopt_multi', { values: u32, mask: u32 })],
})
/** Frames that are not forwarded (01:80:c2:00:00:0x) teach the bridge no sender. */
export const BR_BOOLOPT_NO_LL_LEARN = 1 << 0
export type BridgeData = Infer<typeof bridgeData>

/** @param peer codec of VETH_INFO_PEER, a whole link message; a function, since that message holds this table */
export const linkKinds = <T>(peer: () => Codec<T>) => ({
  veth: attrs('VETH_INFO', { peer: [1, thunk(peer)] }),
  bridge: bridgeData,
})
