/**
 * nftables sets and maps: looks them up, and adds, deletes and lists their elements.
 *
 * @see include/uapi/linux/netfilter/nf_tables.h
 */

import { attrs, list, nested } from '../attrs.ts'
import { bytes, cstring, decode, encode, headed, u32be, u64be } from '../codec.ts'
import { Errno, NetlinkError } from '../errors.ts'
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, type Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import { familyName, nfgenmsg, nfHeader, nftType } from './nfnetlink.ts'
import {
  commentFrom,
  commentUserdata,
  NFTNL_UDATA_SET_COMMENT,
  NFTNL_UDATA_SET_ELEM_COMMENT,
} from './userdata.ts'

const NFT_MSG_GETSET = 10
const NFT_MSG_NEWSETELEM = 12
const NFT_MSG_GETSETELEM = 13
const NFT_MSG_DELSETELEM = 14

/** NFT_SET_*. */
export const NFT_SET_CONSTANT = 0x2
export const NFT_SET_INTERVAL = 0x4
export const NFT_SET_MAP = 0x8
export const NFT_SET_TIMEOUT = 0x10
export const NFT_SET_CONCAT = 0x80

/** The element is the first key after an interval, in a set with NFT_SET_INTERVAL and without NFT_SET_CONCAT. */
export const NFT_SET_ELEM_INTERVAL_END = 0x1
const NFTA_LIST_ELEM = 1

/** NFTA_SET_*. */
const setAttrs = attrs('NFTA_SET', {
  table: [1, cstring],
  name: [2, cstring],
  handle: [16, u64be],
  flags: [3, u32be],
  /** nft's own, which the kernel only keeps: 6 bits for each field of a concatenation. */
  keyType: [4, u32be],
  keyLen: [5, u32be],
  dataType: [6, u32be],
  dataLen: [7, u32be],
  timeout: [11, u64be],
  gcInterval: [12, u32be],
  policy: [8, u32be],
  userdata: [13, bytes],
  desc: [9, bytes],
})
export const setmsg = headed(nfgenmsg, setAttrs)

/** NFTA_DATA_*; `verdict` stays bytes. */
const data = nested(attrs('NFTA_DATA', { value: [1, bytes], verdict: [2, bytes] }))

/** NFTA_SET_ELEM_*. */
const setElemAttrs = attrs('NFTA_SET_ELEM', {
  key: [1, data],
  keyEnd: [10, data],
  data: [2, data],
  flags: [3, u32be],
  timeout: [4, u64be],
  expiration: [5, u64be],
  userdata: [6, bytes],
})

/** NFTA_SET_ELEM_LIST_*. */
const setElemListAttrs = attrs('NFTA_SET_ELEM_LIST', {
  table: [1, cstring],
  set: [2, cstring],
  /** Names a set that the same transaction makes. */
  setId: [4, u32be],
  elements: [3, nested(list('NFTA_LIST', NFTA_LIST_ELEM, nested(setElemAttrs)))],
})
export const setelemmsg = headed(nfgenmsg, setElemListAttrs)

export interface NftSet {
  readonly family: number
  readonly table: string
  readonly name: string
  /** NFT_SET_* */
  readonly flags: number
  readonly keyType: number
  /** In bytes. Each field of a concatenation takes a multiple of 4. */
  readonly keyLen: number
  /** Undefined for a set; 0xffffff00 for verdicts. */
  readonly dataType: number | undefined
  readonly dataLen: number | undefined
  readonly handle: bigint
  readonly comment: string | undefined
  /** nft's TLVs, see userdata.ts. */
  readonly userdata: Uint8Array | undefined
}

/** @returns undefined when there is no such table or no such set in it */
export function setGet(
  socket: NetlinkSocket,
  family: number,
  table: string,
  name: string,
): NftSet | undefined {
  const payload = encode(setmsg, { header: nfHeader(family), attrs: { table, name } })
  const op = `NFT_MSG_GETSET ${familyName(family)} ${table} ${name}`
  try {
    const [reply] = socket.execute({ op, type: nftType(NFT_MSG_GETSET), flags: 0, payload })
    if (reply === undefined) return undefined
    const { header, attrs: found } = decode(setmsg, reply.payload)
    return {
      family: header.family,
      table: found.table ?? table,
      name: found.name ?? name,
      flags: found.flags ?? 0,
      keyType: found.keyType ?? 0,
      keyLen: found.keyLen ?? 0,
      dataType: found.dataType,
      dataLen: found.dataLen,
      handle: found.handle ?? 0n,
      comment: commentFrom(NFTNL_UDATA_SET_COMMENT, found.userdata),
      userdata: found.userdata,
    }
  } catch (err) {
    if (err instanceof NetlinkError && err.errno === Errno.ENOENT) return undefined
    throw err
  }
}

export interface SetElement {
  /** As long as the set's keys; see `concat`. */
  readonly key: Uint8Array
  /** Last key of an interval, inclusive; only in sets with NFT_SET_CONCAT and NFT_SET_INTERVAL. */
  readonly keyEnd?: Uint8Array | undefined
  /** The value, in a map. */
  readonly data?: Uint8Array | undefined
  /** nft can read at most 127 bytes. */
  readonly comment?: string | undefined
  /** NFT_SET_ELEM_*; absent: 0. */
  readonly flags?: number | undefined
}

export interface SetElements {
  readonly family: number
  readonly table: string
  readonly set: string
  /** At most what fits into 64 KiB: about 800 elements of a map with comments. */
  readonly elements: readonly SetElement[]
}

function request(
  verb: string,
  message: number,
  flags: number,
  { family, table, set, elements }: SetElements,
): Request {
  const encoded = elements.map((e) => ({
    key: { value: e.key },
    keyEnd: e.keyEnd && { value: e.keyEnd },
    data: e.data && { value: e.data },
    flags: e.flags || undefined,
    userdata: e.comment === undefined ? undefined : commentUserdata(NFTNL_UDATA_SET_ELEM_COMMENT, e.comment),
  }))
  return {
    op: `${verb} ${familyName(family)} ${table} ${set}`,
    type: nftType(message),
    flags,
    payload: encode(setelemmsg, { header: nfHeader(family), attrs: { table, set, elements: encoded } }),
  }
}

/**
 * For `nftTransaction`. An equal element is left as it is; one with another value fails with EEXIST or EBUSY.
 * @param options.exclusive EEXIST for an equal element too
 */
export const setElemAddRequest = (
  options: SetElements & { readonly exclusive?: boolean | undefined },
): Request =>
  request(
    'NFT_MSG_NEWSETELEM',
    NFT_MSG_NEWSETELEM,
    NLM_F_CREATE | (options.exclusive ? NLM_F_EXCL : 0),
    options,
  )

/** For `nftTransaction`. Only keys (and interval flags) count. ENOENT: an element is missing. */
export const setElemDelRequest = (options: SetElements): Request =>
  request('NFT_MSG_DELSETELEM', NFT_MSG_DELSETELEM, 0, {
    ...options,
    elements: options.elements.map(({ key, keyEnd, flags }) => ({ key, keyEnd, flags })),
  })

/** For `nftTransaction`: deletes all elements, as `nft flush set`. An empty set is no error. */
export const setFlushRequest = (family: number, table: string, set: string): Request => ({
  op: `NFT_MSG_DELSETELEM ${familyName(family)} ${table} ${set}`,
  type: nftType(NFT_MSG_DELSETELEM),
  flags: 0,
  payload: encode(setelemmsg, { header: nfHeader(family), attrs: { table, set } }),
})

/** Lists elements in the kernel's order, which means nothing. @throws {NetlinkError} ENOENT: no such table or set */
export function setElemList(socket: NetlinkSocket, family: number, table: string, set: string): SetElement[] {
  const replies = socket.execute({
    op: `NFT_MSG_GETSETELEM ${familyName(family)} ${table} ${set}`,
    type: nftType(NFT_MSG_GETSETELEM),
    flags: NLM_F_DUMP,
    payload: encode(setelemmsg, { header: nfHeader(family), attrs: { table, set } }),
  })
  return replies.flatMap((reply) =>
    (decode(setelemmsg, reply.payload).attrs.elements ?? []).map((e) => ({
      key: e.key?.value ?? new Uint8Array(0),
      keyEnd: e.keyEnd?.value,
      data: e.data?.value,
      comment: commentFrom(NFTNL_UDATA_SET_ELEM_COMMENT, e.userdata),
      flags: e.flags ?? 0,
    })),
  )
}
