/**
 * Which tier a UDP address belongs to, by how two hosts agree on it, and which addresses the switches let through.
 * Pure.
 */

import type { TiersConf } from '../../../conf/tiers.ts'
import type { UdpTier } from '../../../core/api.ts'
import type { Millis } from '../../../core/clock.ts'
import type { P2pReason } from '../../paths/escalation/reasons.ts'
import { familyOf } from './endpoints.ts'

/** By which connection two hosts agree: their own, one through a hub, or messages that members carry. */
export type SignalKind = 'link' | 'hub' | 'members'

/**
 * Without a link the two see each other's addresses only by what lies between them, whatever the family; but for the
 * one that a router lets all in by, which its host knows by itself.
 * @param opened the port mapping
 */
export function tierOf(kind: SignalKind | undefined, address: string, opened?: string): UdpTier {
  if (address === opened) return familyOf(address)
  if (kind === 'hub') return 'ice'
  return kind === 'members' ? 'punch' : familyOf(address)
}

/** Of these addresses, in their order, those of tiers that are used. */
export const usable = (
  tiers: TiersConf,
  kind: SignalKind | undefined,
  addresses: readonly string[],
  opened?: string,
): string[] => addresses.filter((address) => tiers[tierOf(kind, address, opened)].enabled)

/** Of these addresses, the tiers that are not used; each once. */
export const unused = (
  tiers: TiersConf,
  kind: SignalKind | undefined,
  addresses: readonly string[],
  opened?: string,
): UdpTier[] =>
  [...new Set(addresses.map((address) => tierOf(kind, address, opened)))].filter((t) => !tiers[t].enabled)

export const tiersText = (names: readonly UdpTier[]): string =>
  names.map((name) => `${name} (paths.tiers.${name}.enabled)`).join(' and ')

/** @param addresses all of this host. @returns why it can offer none; undefined: it can, or has none at all */
export function whyNoneToOffer(
  tiers: TiersConf,
  kind: SignalKind | undefined,
  addresses: readonly string[],
  opened?: string,
): P2pReason | undefined {
  const off = unused(tiers, kind, addresses, opened)
  if (off.length === 0 || usable(tiers, kind, addresses, opened).length > 0) return undefined
  return { code: 'tier off', detail: tiersText(off) }
}

/** Of addresses that came by a link: probes of the other family are not answered. Undefined: all are. */
export function familiesOf(
  tiers: TiersConf,
  kind: SignalKind | undefined,
): readonly ('ipv4' | 'ipv6')[] | undefined {
  const families = (['ipv6', 'ipv4'] as const).filter((family) => tiers[family].enabled)
  return kind === 'hub' || kind === 'members' || families.length === 2 ? undefined : families
}

/** How long a try may take: as long as its slowest tier has. Undefined: no tier is tried. */
export const timeoutOf = (tiers: TiersConf, raced: readonly UdpTier[]): Millis | undefined =>
  raced.length === 0 ? undefined : Math.max(...raced.map((name) => tiers[name].timeoutMs))
