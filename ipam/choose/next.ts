/** The next free address of a slice: the index chooses the block, the allocator the address in it. */

import { formatIpv4, type Ipv4, parseIpv4 } from '../../core/addr.ts'
import { agrees, chooseBlock, cursorOf, rangeIn, summarise } from '../store/block-index.ts'
import { blockBaseOf } from '../store/layout.ts'
import type { Session } from '../store/session.ts'
import { chooseAddress } from './allocator.ts'
import type { Slice } from './slice.ts'

/**
 * undefined: no block has one. For a big slice this is decided only after reading all blocks.
 * @param isHeld whether a free address must be passed over
 */
export function nextAddress(session: Session, slice: Slice, isHeld: (ip: Ipv4) => boolean): Ipv4 | undefined {
  const base = blockBaseOf(slice.first)
  if (base === blockBaseOf(slice.last)) return chooseIn(session, base, slice, isHeld)
  return (
    throughIndex(session, slice, isHeld, false) ??
    // An index that calls every block full leads to no block that could prove it wrong.
    throughIndex(session, slice, isHeld, true)
  )
}

function throughIndex(
  session: Session,
  slice: Slice,
  isHeld: (ip: Ipv4) => boolean,
  anew: boolean,
): Ipv4 | undefined {
  const { first, last } = slice
  let index = anew ? session.makeIndex(first, last) : session.index(first, last)
  const tried = new Set<Ipv4>()
  for (;;) {
    const base = chooseBlock(index, tried)
    if (base === undefined) return undefined
    if (!agrees(index, base, summarise(session.block(base), base, slice))) {
      index = session.makeIndex(first, last, cursorOf(index))
      continue
    }
    const ip = chooseIn(session, base, slice, isHeld)
    if (ip !== undefined) return ip
    tried.add(base)
  }
}

function chooseIn(
  session: Session,
  base: Ipv4,
  slice: Slice,
  isHeld: (ip: Ipv4) => boolean,
): Ipv4 | undefined {
  const block = session.block(base)
  return chooseAddress({
    ...rangeIn(base, slice.first, slice.last),
    isLeased: (ip) => block.leases[formatIpv4(ip)] !== undefined,
    releasedAt: (ip) => block.released[formatIpv4(ip)],
    cursor: block.cursor === undefined ? undefined : parseIpv4(block.cursor),
    isHeld,
  })
}
