/** One host's table: assignments by address, its version, and how fresh it is. */

import type { Ipv4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import type { Millis } from '../../core/clock.ts'

/**
 * Highest first; a table is only replaced by a newer one. Epoch rises with each start of the owner, seq with each
 * change.
 */
export interface Version {
  readonly epoch: number
  readonly seq: number
}

/**
 * `live`: its owner is reached, directly or over a relay. `unreachable`: it is not; its containers may well run.
 * `gone`: for so long that its names are free again.
 */
export type Freshness = 'live' | 'unreachable' | 'gone'

export const isNewer = (a: Version, b: Version | undefined): boolean =>
  b === undefined || a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq)

const SLASH = 47
const DOT = 46
const ZERO = 48

/** Of a text that has been checked: the checks of parseCidr4 are half the time of taking over a table. */
function ipOf(cidr: string): Ipv4 {
  let ip = 0
  let octet = 0
  for (let i = 0; i < cidr.length; i++) {
    const code = cidr.charCodeAt(i)
    if (code === SLASH) break
    if (code === DOT) {
      ip = ip * 256 + octet
      octet = 0
    } else octet = octet * 10 + code - ZERO
  }
  return ip * 256 + octet
}

/** As numbers; the text of an assignment has been checked before it comes here. */
export const ipsOf = (a: Assignment): Ipv4[] => a.ips.map(ipOf)

export class HostTable {
  readonly hostId: number
  version: Version
  freshness: Freshness
  /** Wall clock. */
  freshSince: Millis
  /** Every address of an assignment leads to it. */
  readonly byIp = new Map<Ipv4, Assignment>()
  #size = 0

  constructor(hostId: number, version: Version, freshness: Freshness, now: Millis) {
    this.hostId = hostId
    this.version = version
    this.freshness = freshness
    this.freshSince = now
  }

  /** Assignments, not addresses. */
  get size(): number {
    return this.#size
  }

  /** In the order in which they came; one with two addresses once. */
  all(): Iterable<Assignment> {
    return this.#size === this.byIp.size ? this.byIp.values() : new Set(this.byIp.values())
  }

  /** The caller has removed every assignment that held one of its addresses. */
  add(assignment: Assignment): void {
    for (const ip of ipsOf(assignment)) this.byIp.set(ip, assignment)
    this.#size++
  }

  remove(assignment: Assignment): void {
    for (const ip of ipsOf(assignment)) this.byIp.delete(ip)
    this.#size--
  }
}
