/** Which Host names are this gateway's own, which it serves at all, and which no container may take. */

import { reservedNames } from '../../core/reserved-names.ts'
import type { NameLookup } from '../registry/names.ts'

/**
 * A page in a browser can give its own domain the address of this gateway (DNS rebinding), and then reads what the
 * gateway answers to that domain. So a foreign name is never shown the list, and `ingress.domains` can refuse it.
 */
export interface HostNames {
  readonly own: ReadonlySet<string>
  /** Of this machine: a container that takes one is not found by it. */
  readonly reserved: ReadonlySet<string>
  /** `*.corp.example` without the star: `.corp.example`. Empty: any name is served. */
  readonly suffixes: readonly string[]
  readonly isRestricted: boolean
}

/** @param domains `ingress.domains`: a name without a star is one of the gateway's own */
export function hostNames(machine: string, domains: readonly string[]): HostNames {
  const reserved = reservedNames(machine)
  const exact = domains.filter((d) => !d.startsWith('*.'))
  const [label = ''] = machine.toLowerCase().split('.')
  return {
    reserved,
    // Only this machine answers to NAME.local (RFC 6762 3), so no stranger's domain can be it.
    own: new Set([...reserved, `${label}.local`, ...exact.map((d) => d.toLowerCase())]),
    suffixes: domains.filter((d) => d.startsWith('*.')).map((d) => d.slice(1).toLowerCase()),
    isRestricted: domains.length > 0,
  }
}

/** @param host lower case, a name with dots */
export const isServed = ({ isRestricted, suffixes, own }: HostNames, host: string): boolean =>
  !isRestricted || own.has(host) || suffixes.some((suffix) => host.endsWith(suffix))

/** A look-up in which the reserved names find nothing. */
export const withoutReserved = (lookup: NameLookup, { reserved }: HostNames): NameLookup => ({
  byIp: (ip) => lookup.byIp(ip),
  byName: (name) => (reserved.has(name.toLowerCase()) ? [] : lookup.byName(name)),
})
