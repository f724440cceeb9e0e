/** Which fields behind a body cross the gateway. Pure. */

import { isForwarded } from './forwarded.ts'
import { HOP_BY_HOP, isOurs } from './headers.ts'
import type { RawHeaders } from './raw-headers.ts'

/** Fields that say how a message is framed or where it goes must not come after its body (RFC 9110 6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'content-length',
  'content-encoding',
  'content-type',
  'content-range',
  'host',
  'set-cookie',
  'authorization',
  'cookie',
  'location',
  'cache-control',
  'expect',
  'te',
  'trailer',
  'age',
  'date',
  'vary',
  'www-authenticate',
  'max-forwards',
])

/** As pairs, for addTrailers; fields that do not belong into trailers are dropped. */
export function trailers(raw: RawHeaders): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    // Of a trusted proxy too: it knows how a client came before the body.
    const saysHow = isOurs(name) || isForwarded(name)
    if (!HOP_BY_HOP.has(name) && !NOT_IN_TRAILERS.has(name) && !saysHow) pairs.push([raw[i]!, raw[i + 1]!])
  }
  return pairs
}
