/**
 * The owners of a published port, which the element's comment names.
 *
 * First the owner's host interface, then those of the same container on other networks: one of them inherits the port.
 */

import { concat } from 'netlink-ts/netfilter/keys.ts'
import type { SetElement } from 'netlink-ts/netfilter/set.ts'
import { linkByName } from 'netlink-ts/route/link.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Ipv4, ipv4Bytes, parseCidr4 } from '../../core/addr.ts'
import { type Attachment, parseAlias } from '../../core/attachment.ts'
import { portIn } from './maps.ts'

/** nft reads comments of at most 127 bytes: nine of our interface names. */
const MAX_COMMENT = 127

export type Decision = 'add' | 'replace' | 'keep' | 'join' | 'conflict'

export interface SlotFacts {
  /** The names in the comment of the present element, the owner first; undefined when the port is free. */
  readonly claims: readonly string[] | undefined
  /** The element leads to our address and port. */
  readonly isSameTarget: boolean
  /** It leads to the same container port, at any address. */
  readonly isSamePort: boolean
  /** The owner's interface is gone. */
  readonly isOwnerGone: boolean
  /** The container of the first interface in the comment that exists; undefined when none does. */
  readonly ownerContainer: string | undefined
}

/** The names in a comment, the owner first. An element without a comment has no owner. */
export const readClaims = (comment: string | undefined): string[] => (comment ?? '').split(' ')

/**
 * Pure. A stale owner's element is replaced unless another container inherits it, a live one's is a conflict. The same
 * container on two networks has the same ports twice (Podman gives every network the whole list): the first network
 * keeps them, the others join it.
 */
export function decideSlot(facts: SlotFacts, owner: string, containerId: string | undefined): Decision {
  if (facts.claims === undefined) return 'add'
  if (facts.claims[0] === owner) return facts.isSameTarget ? 'keep' : 'replace'
  if (facts.ownerContainer === undefined) return 'replace'
  if (facts.ownerContainer !== containerId) return 'conflict'
  if (facts.isOwnerGone) return 'replace'
  // An heir with another container port would inherit a wrong target; the gateway's repair publishes it later.
  return facts.isSamePort && !facts.claims.includes(owner) ? 'join' : 'keep'
}

/** The comment for `names`, the owner first; names beyond what fits are left out. */
export function claimsComment(names: readonly string[]): string {
  let comment = ''
  for (const name of names) {
    const longer = comment === '' ? name : `${comment} ${name}`
    if (longer.length > MAX_COMMENT) break
    comment = longer
  }
  return comment
}

export interface Claimant {
  readonly attachment: Attachment
  readonly ip: Ipv4 | undefined
}

/** undefined: gone, or not ours. */
export type Look = (ifname: string) => Claimant | undefined

/** Looks an interface up once, however many ports name it. */
export function claimants(host: NetlinkSocket): Look {
  const known = new Map<string, Claimant | undefined>()
  return (ifname) => {
    if (!known.has(ifname)) {
      const parsed = ifname === '' ? undefined : parseAlias(linkByName(host, ifname)?.alias ?? '')
      known.set(ifname, parsed && { attachment: parsed.attachment, ip: parseCidr4(parsed.cidr)?.ip })
    }
    return known.get(ifname)
  }
}

/** The element as the first living heir has it; undefined when there is none. */
export function inherited(standing: SetElement, look: Look): SetElement | undefined {
  const [, ...heirs] = readClaims(standing.comment)
  const living = heirs.filter((name) => look(name) !== undefined)
  const ip = look(living[0] ?? '')?.ip
  const port = portIn(standing.data)
  if (ip === undefined || port === undefined) return undefined
  return { key: standing.key, data: concat(ipv4Bytes(ip), port), comment: claimsComment(living) }
}
