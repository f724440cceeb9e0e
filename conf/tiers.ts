/**
 * The section `paths.tiers` of flatnet.yaml: which kinds of path to other hosts are used, and how long each may take.
 */

import { TIERS, type TierName } from '../core/api.ts'
import type { Millis } from '../core/clock.ts'
import { refuseUnknown } from './daemon-values.ts'
import type { Reader } from './reader.ts'

/**
 * TLS straight to a gateway is what all else begins with and falls back on, so it has no switch. Nebula has a section
 * of its own.
 */
export type SwitchedTier = Exclude<TierName, 'gateway' | 'nebula'>

export interface TierConf {
  readonly enabled: boolean
  /** How long a search of this kind goes on before it counts as failed. */
  readonly timeoutMs: Millis
}

export type TiersConf = Readonly<Record<SwitchedTier, TierConf>>

interface Limits {
  readonly defaultMs: Millis
  readonly minMs: Millis
  readonly maxMs: Millis
}

/** Five round trips of 200 ms prove a path; ten times as long without them, and UDP is blocked. */
const UDP: Limits = { defaultMs: 10_000, minMs: 500, maxMs: 60_000 }
const LIMITS: Readonly<Record<SwitchedTier, Limits>> = {
  ipv6: UDP,
  ipv4: UDP,
  ice: UDP,
  punch: UDP,
  relay: { defaultMs: 10_000, minMs: 500, maxMs: 60_000 },
  // A day: other members keep no message longer.
  gossip: { defaultMs: 86_400_000, minMs: 60_000, maxMs: 86_400_000 },
}

export const SWITCHED_TIERS = TIERS.filter((name) => name !== 'gateway' && name !== 'nebula')
const KEYS = ['enabled', 'timeoutMs']

export function readTiers(paths: Reader): TiersConf {
  const tiers = paths.object('tiers')
  const known: readonly string[] = tiers.has('gateway') ? TIERS : SWITCHED_TIERS
  refuseUnknown(tiers, paths.get('tiers'), known)
  if (tiers.has('gateway')) {
    const others = SWITCHED_TIERS.join(', ')
    const why = 'as TLS to the gateways is always used: all else falls back on it'
    tiers.problem('gateway', `must be left out, ${why}; the others are ${others}`)
  }
  return tiersOf((name, { defaultMs, maxMs, minMs }) => {
    const tier = tiers.object(name)
    refuseUnknown(tier, tiers.get(name), KEYS)
    return {
      enabled: tier.boolean('enabled', true),
      timeoutMs: tier.integer('timeoutMs', defaultMs, minMs, maxMs),
    }
  })
}

const tiersOf = (read: (name: SwitchedTier, limits: Limits) => TierConf): TiersConf => ({
  ipv6: read('ipv6', LIMITS.ipv6),
  ipv4: read('ipv4', LIMITS.ipv4),
  ice: read('ice', LIMITS.ice),
  punch: read('punch', LIMITS.punch),
  relay: read('relay', LIMITS.relay),
  gossip: read('gossip', LIMITS.gossip),
})

export const DEFAULT_TIERS: TiersConf = tiersOf((_, { defaultMs }) => ({
  enabled: true,
  timeoutMs: defaultMs,
}))

/** Why a tier is not used, for a person: `ipv4 is switched off on this host (paths.tiers.ipv4.enabled)`. */
export const switchedOff = (name: SwitchedTier): string =>
  `${name} is switched off on this host (paths.tiers.${name}.enabled)`
