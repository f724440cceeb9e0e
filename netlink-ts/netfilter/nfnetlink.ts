/**
 * What all of nfnetlink shares: nfgenmsg, families, and the batch around an nftables transaction.
 *
 * @see include/uapi/linux/netfilter/nfnetlink.h
 */

import { attrs } from '../attrs.ts'
import { decode, encode, headed, type Infer, struct, u8, u16be, u32be } from '../codec.ts'
import type { Reply, Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'

/** include/uapi/linux/netfilter.h */
export const NFPROTO_INET = 1
export const NFPROTO_IPV4 = 2
export const NFPROTO_BRIDGE = 7
export const NFPROTO_IPV6 = 10

const NFNL_SUBSYS_NFTABLES = 10
const NFNL_MSG_BATCH_BEGIN = 16
const NFNL_MSG_BATCH_END = 17
const NFT_MSG_GETGEN = 16

export const nfgenmsg = struct('nfgenmsg', { family: u8, version: u8, resId: u16be })
export type NfHeader = Infer<typeof nfgenmsg>

export const nfHeader = (family: number): NfHeader => ({ family, version: 0, resId: 0 })

/** `nlmsg_type` of an nftables message. */
export const nftType = (message: number): number => (NFNL_SUBSYS_NFTABLES << 8) | message

const FAMILIES = new Map([
  [NFPROTO_INET, 'inet'],
  [NFPROTO_IPV4, 'ip'],
  [NFPROTO_BRIDGE, 'bridge'],
  [NFPROTO_IPV6, 'ip6'],
])
/** The family's name as nft prints it. */
export const familyName = (family: number): string => FAMILIES.get(family) ?? `family ${family}`

/** NFNL_BATCH_*. */
const batchmsg = headed(nfgenmsg, attrs('NFNL_BATCH', { genId: [1, u32be] }))
/** NFTA_GEN_*. Name and pid of the process that made it stay unknown attributes. */
const genmsg = headed(nfgenmsg, attrs('NFTA_GEN', { id: [1, u32be] }))

const batch = (op: string, type: number, genId?: number): Request => ({
  op,
  type,
  flags: 0,
  payload: encode(batchmsg, {
    header: { family: 0, version: 0, resId: NFNL_SUBSYS_NFTABLES },
    attrs: { genId },
  }),
})

/** The generation of the ruleset: every transaction of any process makes a new one. */
export function nftGeneration(socket: NetlinkSocket): number {
  const [reply] = socket.execute({
    op: 'NFT_MSG_GETGEN',
    type: nftType(NFT_MSG_GETGEN),
    flags: 0,
    payload: encode(genmsg, { header: nfHeader(0), attrs: {} }),
  })
  return (reply === undefined ? undefined : decode(genmsg, reply.payload).attrs.id) ?? 0
}

/**
 * Does all requests or none of them. nftables accepts changes only this way.
 * @param generation that the requests were made for; if the ruleset has a newer one, nothing is done
 * @throws {NetlinkError} the first refusal, with the op of its request; ERESTART: a newer generation
 */
export const nftTransaction = (
  socket: NetlinkSocket,
  requests: readonly Request[],
  generation?: number,
): Reply[] =>
  socket.executeBatch(
    batch('NFNL_MSG_BATCH_BEGIN', NFNL_MSG_BATCH_BEGIN, generation),
    requests,
    batch('NFNL_MSG_BATCH_END', NFNL_MSG_BATCH_END),
  )
