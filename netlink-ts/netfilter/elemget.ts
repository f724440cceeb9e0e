/** NFT_MSG_GETSETELEM without a dump: single elements by key, which is cheap however large the set is. */

import { decode, encode } from '../codec.ts'
import { Errno, NetlinkError } from '../errors.ts'
import type { Reply, Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import { familyName, nfHeader, nftType } from './nfnetlink.ts'
import { type SetElement, setelemmsg } from './set.ts'
import { commentFrom, NFTNL_UDATA_SET_ELEM_COMMENT } from './userdata.ts'

const NFT_MSG_GETSETELEM = 13

/** One element of one set. */
export interface ElementKey {
  readonly family: number
  readonly table: string
  readonly set: string
  readonly key: Uint8Array
}

const request = ({ family, table, set, key }: ElementKey): Request => ({
  op: `NFT_MSG_GETSETELEM ${familyName(family)} ${table} ${set}`,
  type: nftType(NFT_MSG_GETSETELEM),
  flags: 0,
  payload: encode(setelemmsg, {
    header: nfHeader(family),
    attrs: { table, set, elements: [{ key: { value: key } }] },
  }),
})

/**
 * Gets the elements with these keys, in the same order and by one send; for sets without intervals.
 * @returns undefined for each absent element, and for all when there is no such table or set
 */
export function setElemGet(
  socket: NetlinkSocket,
  family: number,
  table: string,
  set: string,
  keys: readonly Uint8Array[],
): (SetElement | undefined)[] {
  const wanted: ElementKey[] = []
  for (const key of keys) wanted.push({ family, table, set, key })
  return elementsGet(socket, wanted)
}

/** As `setElemGet`, of any sets. */
export function elementsGet(
  socket: NetlinkSocket,
  wanted: readonly ElementKey[],
): (SetElement | undefined)[] {
  const requests: Request[] = []
  for (const element of wanted) requests.push(request(element))
  const found: (SetElement | undefined)[] = []
  for (const outcome of socket.executeAll(requests)) found.push(elementOf(outcome))
  return found
}

function elementOf(outcome: readonly Reply[] | NetlinkError): SetElement | undefined {
  if (outcome instanceof NetlinkError) {
    if (outcome.errno === Errno.ENOENT) return undefined
    throw outcome
  }
  const [reply] = outcome
  const found = reply && decode(setelemmsg, reply.payload).attrs.elements?.[0]
  return (
    found && {
      key: found.key?.value ?? new Uint8Array(0),
      keyEnd: found.keyEnd?.value,
      data: found.data?.value,
      comment: commentFrom(NFTNL_UDATA_SET_ELEM_COMMENT, found.userdata),
      flags: found.flags ?? 0,
    }
  )
}
