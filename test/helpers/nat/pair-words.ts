/**
 * What a person must be able to read of a pair: why it is not direct and at which end the cause is, or by which way.
 */
import type { Access, PairOfKinds } from './pair-table.ts'

type Words = readonly [one: RegExp, two: RegExp]

const HERE = /UDP is blocked at this host/
const THERE = /UDP is blocked at the peer/
/** One hub alone shows nobody that a NAT is symmetric. A host that is direct with another has a second one to ask. */
const SYMMETRIC =
  /UDP works at both hosts and not between them|gives? each destination another port \(symmetric\)/

/** What either end says of a pair that is not direct; undefined: the pair is. */
export function whyNot({ a, b, tier }: PairOfKinds): Words | undefined {
  if (tier !== 'relay' && tier !== 'gateway') return undefined
  const isBlocked = (kind: Access): boolean => kind === 'udpBlocked'
  if (isBlocked(a) && isBlocked(b)) return [/UDP is blocked at both hosts/, /UDP is blocked at both hosts/]
  // The only public member is the peer itself, and its silence shows not at which end it is.
  if (a === 'public')
    return [
      /UDP works at this host, so it is blocked at the peer or between/,
      /UDP works at the peer, so it is blocked at this host or between/,
    ]
  if (isBlocked(b)) return [THERE, HERE]
  return [SYMMETRIC, SYMMETRIC]
}

/** The row of `flatnet tiers` for each tier that a pair may take: what it is, and by which protocol. */
export const WAY = {
  ipv4: /^ipv4 +yes .* UDP to an IPv4/m,
  ice: /^ice +yes .* UDP/m,
  punch: /^punch +yes .* UDP/m,
  relay: /^relay +yes .* TLS through a third/m,
  gateway: /^gateway +yes .* TLS/m,
} as const

/** What `flatnet netcheck` says that a host of this kind becomes direct with. */
export function outlookOf(kind: Access): RegExp {
  if (kind === 'udpBlocked') return /^Without UDP this host is reached/m
  // Asked are members behind NATs, and some of these let no question in.
  if (kind === 'public')
    return /^(Hosts without a NAT become direct with every|UDP carries packets from here, so)/m
  return /^Hosts behind (such )?NATs become direct with/m
}
