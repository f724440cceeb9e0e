/**
 * Named counters of nftables: what they have counted.
 *
 * @see include/uapi/linux/netfilter/nf_tables.h
 */

import { attrs, nested } from '../attrs.ts'
import { bytes, cstring, decode, encode, headed, u32be, u64be } from '../codec.ts'
import { NLM_F_DUMP } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import { familyName, nfgenmsg, nfHeader, nftType } from './nfnetlink.ts'

const NFT_MSG_GETOBJ = 19
const NFT_OBJECT_COUNTER = 1

/** NFTA_COUNTER_*. */
const counterAttrs = attrs('NFTA_COUNTER', { bytes: [1, u64be], packets: [2, u64be] })

/** NFTA_OBJ_*; `data` is of a counter. */
const objAttrs = attrs('NFTA_OBJ', {
  table: [1, cstring],
  name: [2, cstring],
  type: [3, u32be],
  handle: [6, u64be],
  use: [5, u32be],
  data: [4, nested(counterAttrs)],
  userdata: [8, bytes],
})
export const counterobjmsg = headed(nfgenmsg, objAttrs)

export interface NftCounter {
  readonly name: string
  readonly packets: bigint
  readonly bytes: bigint
}

/** All of a table; none when there is no such table. */
export function counterList(socket: NetlinkSocket, family: number, table: string): NftCounter[] {
  const replies = socket.execute({
    op: `NFT_MSG_GETOBJ ${familyName(family)} ${table}`,
    type: nftType(NFT_MSG_GETOBJ),
    flags: NLM_F_DUMP,
    // The kernel dumps the objects of one type alone when it is told.
    payload: encode(counterobjmsg, { header: nfHeader(family), attrs: { table, type: NFT_OBJECT_COUNTER } }),
  })
  return replies.map((reply) => {
    const { name = '', data = {} } = decode(counterobjmsg, reply.payload).attrs
    return { name, packets: data.packets ?? 0n, bytes: data.bytes ?? 0n }
  })
}
