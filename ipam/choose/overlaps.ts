/**
 * Which networks share addresses with a prefix, by ip-num: for CLI and gateway.
 *
 * Nothing on ADD's path may import it.
 */

import { IPv4CidrRange } from 'ip-num'
import { formatPrefix, type Prefix4 } from '../../core/addr.ts'

/** A network on this host and its name in messages, e.g. `route via eth0` or `network podman`. */
export interface KnownNetwork {
  readonly name: string
  readonly prefix: Prefix4
}

/** In the order given. Equal, containing and contained networks all overlap; neighbours do not. */
export function overlapping(prefix: Prefix4, known: readonly KnownNetwork[]): KnownNetwork[] {
  const own = rangeOf(prefix)
  return known.filter((other) => {
    const range = rangeOf(other.prefix)
    return own.contains(range) || range.contains(own)
  })
}

const rangeOf = (prefix: Prefix4): IPv4CidrRange => IPv4CidrRange.fromCidr(formatPrefix(prefix))
