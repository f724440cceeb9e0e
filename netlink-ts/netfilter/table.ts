/** nftables tables: looks up and deletes them. include/uapi/linux/netfilter/nf_tables.h. */

import { attrs } from '../attrs.ts'
import { bytes, cstring, decode, encode, headed, u32be, u64be } from '../codec.ts'
import { Errno, NetlinkError } from '../errors.ts'
import type { Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import { familyName, nfgenmsg, nfHeader, nftType } from './nfnetlink.ts'
import { commentFrom, NFTNL_UDATA_TABLE_COMMENT } from './userdata.ts'

const NFT_MSG_GETTABLE = 1
const NFT_MSG_DELTABLE = 2

/** NFTA_TABLE_*. */
const tableAttrs = attrs('NFTA_TABLE', {
  name: [1, cstring],
  /** How many chains, sets and the like it has. */
  use: [3, u32be],
  handle: [4, u64be],
  flags: [2, u32be],
  userdata: [6, bytes],
})
export const tablemsg = headed(nfgenmsg, tableAttrs)

export interface Table {
  readonly family: number
  readonly name: string
  readonly flags: number
  readonly use: number
  readonly handle: bigint
  /** As nft wrote it; undefined: the table has none. */
  readonly comment: string | undefined
}

const request = (verb: string, message: number, family: number, name: string): Request => ({
  op: `${verb} ${familyName(family)} ${name}`,
  type: nftType(message),
  flags: 0,
  payload: encode(tablemsg, { header: nfHeader(family), attrs: { name } }),
})

/** @returns undefined when there is no such table */
export function tableGet(socket: NetlinkSocket, family: number, name: string): Table | undefined {
  try {
    const [reply] = socket.execute(request('NFT_MSG_GETTABLE', NFT_MSG_GETTABLE, family, name))
    if (reply === undefined) return undefined
    const { header, attrs: found } = decode(tablemsg, reply.payload)
    return {
      family: header.family,
      name: found.name ?? name,
      flags: found.flags ?? 0,
      use: found.use ?? 0,
      handle: found.handle ?? 0n,
      comment: commentFrom(NFTNL_UDATA_TABLE_COMMENT, found.userdata),
    }
  } catch (err) {
    if (err instanceof NetlinkError && err.errno === Errno.ENOENT) return undefined
    throw err
  }
}

/** For `nftTransaction`: deletes a table with everything in it. ENOENT: no such table. */
export const tableDelRequest = (family: number, name: string): Request =>
  request('NFT_MSG_DELTABLE', NFT_MSG_DELTABLE, family, name)
