/** Publishes a container's ports: judges what each map holds, edits it, and repeats what lost a race. */

import { Errno } from 'netlink-ts/errors.ts'
import { nftGeneration } from 'netlink-ts/netfilter/nfnetlink.ts'
import type { SetElement } from 'netlink-ts/netfilter/set.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import type { Ipv4 } from '../../core/addr.ts'
import type { PortMapping } from '../../core/api.ts'
import {
  type Claimant,
  claimants,
  claimsComment,
  type Decision,
  decideSlot,
  type Look,
  readClaims,
} from './claims.ts'
import { change, dataOf, type Edit, flushUdp, hasErrno, portIn, present, type Slot, slotOf } from './maps.ts'

/** A busy ruleset changes between read and edit; after this many rounds the next run does the rest. */
export const MAX_ROUNDS = 50

export interface Judged {
  readonly slot: Slot
  readonly standing: SetElement | undefined
  readonly decision: Decision
  /** The first interface in its comment that exists. */
  readonly holder: Claimant | undefined
}

const same = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a !== undefined && b !== undefined && Buffer.compare(a, b) === 0

export function judge(
  socket: NetlinkSocket,
  look: Look,
  mappings: readonly PortMapping[],
  ip: Ipv4,
  owner: string,
): Judged[] {
  const slots = mappings.map(slotOf)
  const found = present(socket, slots)
  return slots.map((slot, i) => {
    const standing = found[i]
    const data = dataOf(slot, ip)
    const claims = standing && readClaims(standing.comment)
    const living = claims?.find((name) => look(name) !== undefined)
    const holder = look(living ?? '')
    const facts = {
      claims,
      isOwnerGone: living === undefined || living !== claims?.[0],
      isSameTarget: same(standing?.data, data),
      isSamePort: same(portIn(standing?.data), portIn(data)),
      ownerContainer: holder?.attachment.containerId,
    }
    const decision = decideSlot(facts, owner, look(owner)?.attachment.containerId)
    return { slot, standing, decision, holder }
  })
}

/**
 * An added element is refused by the kernel when another process was faster (EEXIST). A replaced one is deleted by key
 * alone, so that edit is bound to the generation of the ruleset that was read (ERESTART). Both are read again and
 * retried.
 */
export function settle(
  host: NetlinkSocket,
  socket: NetlinkSocket,
  mappings: readonly PortMapping[],
  ip: Ipv4,
  owner: string,
  refuse: (judged: readonly Judged[]) => void,
): number {
  let generation: number | undefined
  let wasCutShort = false
  for (let round = 0; ; round++) {
    const look = claimants(host)
    const judged = judge(socket, look, mappings, ip, owner)
    refuse(judged)
    const edits = editsOf(look, judged, ip, owner)
    if (generation === undefined && edits.some(({ standing }) => standing !== undefined)) {
      generation = nftGeneration(socket)
      continue
    }
    try {
      change(socket, edits, generation)
    } catch (err) {
      if (round >= MAX_ROUNDS || !(hasErrno(err, Errno.EEXIST) || hasErrno(err, Errno.ERESTART))) throw err
      generation = undefined
      wasCutShort = true
      continue
    }
    const changed = judged.filter(({ decision }) => decision === 'add' || decision === 'replace')
    // Some transactions of an earlier round may have been committed.
    flushUdp(socket, wasCutShort ? mappings : changed.map(({ slot }) => slot.mapping))
    return edits.length
  }
}

function editsOf(look: Look, judged: readonly Judged[], ip: Ipv4, owner: string): Edit[] {
  const container = look(owner)?.attachment.containerId
  const others = (standing: SetElement | undefined): string[] =>
    readClaims(standing?.comment).filter(
      (name) => name !== owner && container !== undefined && look(name)?.attachment.containerId === container,
    )
  return judged.flatMap(({ slot, standing, decision }): Edit[] => {
    if (decision === 'keep' || decision === 'conflict') return []
    const names = decision === 'join' ? [...others(standing), owner] : [owner, ...others(standing)]
    const data = decision === 'join' ? standing?.data : dataOf(slot, ip)
    return [{ slot, standing, element: { key: slot.key, data, comment: claimsComment(names) } }]
  })
}
