/**
 * What is promised of every pair of kinds of access: which tier wins, and how soon. docs/architecture/nat.md shows it.
 */
import type { TierName } from '../../../core/api.ts'
import type { NatKind } from './nat-router.ts'

/** A host's way to the internet; `public`: an address of its own on the switch that plays the internet. */
export type Access = 'public' | NatKind

/** In the order of the table. */
export const ACCESS: Readonly<Record<Access, string>> = {
  public: 'public',
  cone: 'cone',
  addressRestricted: 'address-restricted',
  portRestricted: 'port-restricted',
  cgnat: 'CGNAT',
  ipv6: 'IPv6',
  hairpin: 'hairpin',
  symmetric: 'symmetric',
  udpBlocked: 'UDP blocked',
}

export interface Promised {
  readonly tier: TierName
  /** From the first offer until both hosts send directly; of other tiers: until packets pass at all. */
  readonly withinMs: number
}

const KINDS = Object.keys(ACCESS) as Access[]

const near = { tier: 'ipv4', withinMs: 1_000 } as const
const ice = { tier: 'ice', withinMs: 1_000 } as const
const hub = { tier: 'relay', withinMs: 3_000 } as const
const tls = { tier: 'gateway', withinMs: 3_000 } as const

/** One row for each kind, from its own column on, as a pair has no order. The hub is in public, and the only one. */
const ROWS: Readonly<Record<Access, readonly Promised[]>> = {
  public: [near, near, near, near, near, near, near, tls],
  cone: [ice, ice, ice, ice, ice, ice, ice, hub],
  addressRestricted: [ice, ice, ice, ice, ice, ice, hub],
  portRestricted: [ice, ice, ice, ice, hub, hub],
  cgnat: [ice, ice, ice, hub, hub],
  ipv6: [ice, ice, hub, hub],
  hairpin: [ice, hub, hub],
  symmetric: [hub, hub],
  udpBlocked: [hub],
}

export interface PairOfKinds extends Promised {
  readonly a: Access
  readonly b: Access
}

/** Every pair once, with a kind and itself. */
export const PAIRS: readonly PairOfKinds[] = KINDS.flatMap((a, i) => {
  const columns = KINDS.slice(Math.max(i, 1))
  return ROWS[a].map((promised, j) => ({ a, b: columns[j] as Access, ...promised }))
})

/** The table as the document shows it. */
export function pairTable(): string {
  const cell = ({ tier, withinMs }: Promised): string => `${tier} ${withinMs / 1_000} s`
  const rows = KINDS.map((a, i) => [
    ACCESS[a],
    ...KINDS.slice(1, Math.max(i, 1)).map(() => ''),
    ...ROWS[a].map(cell),
  ])
  const head = ['', ...KINDS.slice(1).map((kind) => ACCESS[kind])]
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
