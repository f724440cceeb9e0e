/** The section `relay` of flatnet.yaml: what this host carries for pairs that do not reach each other. */

import { refuseUnknown } from './daemon-values.ts'
import type { Reader } from './reader.ts'

export interface RelayConf {
  /** Whether this host relays for others at all. */
  readonly volunteer: boolean
  /** Pairs of other hosts at once. */
  readonly maxPairs: number
  /** For all pairs and both directions together; absent: only each pair's own bound holds. */
  readonly bandwidthMbit?: number
  /** Any word, the same for hosts near each other. */
  readonly region?: string
}

/** A cluster of 16 that is split in two halves, with one host that reaches both. */
const DEFAULT_MAX_PAIRS = 64
const REGION_RE = /^[a-z0-9](?:[a-z0-9.-]{0,30}[a-z0-9])?$/i

export function readRelay(top: Reader): RelayConf {
  const relay = top.object('relay')
  refuseUnknown(relay, top.get('relay'), ['volunteer', 'maxPairs', 'bandwidthMbit', 'region'])
  const allowed = 'must be letters, digits, dots and hyphens, 32 at most, e.g. "fra1"'
  const region = relay.parsed('region', '', allowed, (text) =>
    text === '' || REGION_RE.test(text) ? text.toLowerCase() : undefined,
  )
  return {
    volunteer: relay.boolean('volunteer', true),
    maxPairs: relay.integer('maxPairs', DEFAULT_MAX_PAIRS, 1, 4_096),
    ...(relay.has('bandwidthMbit') && {
      bandwidthMbit: relay.integer('bandwidthMbit', undefined, 1, 1_000_000),
    }),
    ...(region !== undefined && region !== '' && { region }),
  }
}
