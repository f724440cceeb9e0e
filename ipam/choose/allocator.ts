/** Which address is next. Pure: what is known of a range goes in, an address comes out. */

import type { Ipv4 } from '../../core/addr.ts'
import type { Millis } from '../../core/clock.ts'

/** How long a released address rests while another is free: late packets to its old holder die out. */
export const REST_MS: Millis = 60_000

export interface RangeFacts {
  /** Both inclusive; `first > last` is an empty range. */
  readonly first: Ipv4
  readonly last: Ipv4
  isLeased(ip: Ipv4): boolean
  /** When it was last given back; undefined when it was never used. */
  releasedAt(ip: Ipv4): Millis | undefined
  /** The last address that was chosen here; undefined at the start. */
  readonly cursor: Ipv4 | undefined
  /** Whether the kernel knows a holder of an address that the leases call free. Called last, as it may be expensive. */
  isHeld?(ip: Ipv4): boolean
}

/**
 * A never-used address, the first after the cursor and round; else the address that was released longest ago.
 * So a crash-looping container gets another address each time, and a resting address comes last: when the oldest one
 * still rests, all others do too, and resting is no reason to refuse a container.
 */
export function chooseAddress(facts: RangeFacts): Ipv4 | undefined {
  const { first, last, cursor } = facts
  const size = last - first + 1
  const start = cursor !== undefined && cursor >= first && cursor < last ? cursor + 1 : first
  const released: { ip: Ipv4; at: Millis }[] = []
  for (let n = 0; n < size; n++) {
    const ip = first + ((start - first + n) % size)
    if (facts.isLeased(ip)) continue
    const at = facts.releasedAt(ip)
    if (at !== undefined) released.push({ ip, at })
    else if (!facts.isHeld?.(ip)) return ip
  }
  // Stable: equal times keep the order of going round.
  released.sort((a, b) => a.at - b.at)
  return released.find(({ ip }) => !facts.isHeld?.(ip))?.ip
}

/** Whether a free address was given back so recently that it counts as resting. A clock set back counts as rested. */
export const isResting = (releasedAt: Millis, now: Millis): boolean =>
  now >= releasedAt && now - releasedAt < REST_MS
