/** What all of nfnetlink shares: nfgenmsg, families, and the batch around an nftables transaction. include/uapi/linux/netfilter/nfnetlink.h. */
import { encode, type Infer, struct, u8, u16be } from '../codec.ts'
import type { Reply, Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'

/** include/uapi/linux/netfilter.h */
export const NFPROTO_INET = 1
export const NFPROTO_IPV4 = 2
export const NFPROTO_IPV6 = 10

const NFNL_SUBSYS_NFTABLES = 10
const NFNL_MSG_BATCH_BEGIN = 16
const NFNL_MSG_BATCH_END = 17

export const nfgenmsg = struct('nfgenmsg', { family: u8, version: u8, resId: u16be })
export type NfHeader = Infer<typeof nfgenmsg>

export const nfHeader = (family: number): NfHeader => ({ family, version: 0, resId: 0 })

/** `nlmsg_type` of a message of nftables. */
export const nftType = (message: number): number => (NFNL_SUBSYS_NFTABLES << 8) | message

const FAMILIES = new Map([
  [NFPROTO_INET, 'inet'],
  [NFPROTO_IPV4, 'ip'],
  [NFPROTO_IPV6, 'ip6'],
])
/** As nft prints it. */
export const familyName = (family: number): string => FAMILIES.get(family) ?? `family ${family}`

const batch = (op: string, type: number): Request => ({
  op,
  type,
  flags: 0,
  payload: encode(nfgenmsg, { family: 0, version: 0, resId: NFNL_SUBSYS_NFTABLES }),
})

/**
 * Does all requests or none of them. nftables takes changes only this way.
 * @throws {NetlinkError} the first refusal, with the op of its request
 */
export const nftTransaction = (socket: NetlinkSocket, requests: readonly Request[]): Reply[] =>
  socket.executeBatch(
    batch('NFNL_MSG_BATCH_BEGIN', NFNL_MSG_BATCH_BEGIN),
    requests,
    batch('NFNL_MSG_BATCH_END', NFNL_MSG_BATCH_END),
  )
