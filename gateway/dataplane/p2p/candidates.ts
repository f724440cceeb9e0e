/** Chooses the addresses that a host offers for UDP: of its interfaces, announced ones, and those that others see. */

import type { Prefix4 } from '../../../core/addr.ts'
import { endpointOf, hostOf, isGlobalV6, isPublic, mayBeHost } from './endpoints.ts'

/** A peer accepts no more. */
const MOST = 16
/** A NAT shows one mapping to all peers, or a different one to each. Probing more than a few would be guessing. */
const MAX_OBSERVED = 4

/**
 * RFC 8421, 4: IPv6 and IPv4 by turns, so that neither family waits for all of a broken other one. Global IPv6
 * addresses come before unique local ones.
 */
export function interleaved(endpoints: readonly string[]): string[] {
  const v6 = endpoints.filter((endpoint) => endpoint.startsWith('['))
  const v6First = [
    ...v6.filter((e) => isGlobalV6(hostOf(e) ?? '')),
    ...v6.filter((e) => !isGlobalV6(hostOf(e) ?? '')),
  ]
  const v4 = endpoints.filter((endpoint) => !endpoint.startsWith('['))
  const turns = Math.max(v6.length, v4.length)
  return Array.from({ length: turns }, (_, i) => [v6First[i], v4[i]])
    .flat()
    .filter((endpoint) => endpoint !== undefined)
}

export interface Candidates {
  /** The UDP port that the P2P process listens on. */
  readonly port: number
  /** This host's end of the link to the peer: packets to the peer leave from it. */
  readonly linkedFrom: string | undefined
  /** `host:port` for TCP, as announced to all members. */
  readonly announced: readonly string[]
  /** `address:port` of this host's interfaces. */
  readonly hosts: readonly string[]
  /** `address:port` as peers see it, the newest last. */
  readonly observed: readonly string[]
  /** `address:port` as STUN servers see it, the likeliest first. */
  readonly mapped: readonly string[]
  /** `address:port` of which the router passes all to this host's port: a port mapping. */
  readonly portMapped?: string | undefined
  /** `address:port` on TURN servers. */
  readonly relayed?: readonly string[] | undefined
}

/**
 * By the types of RFC 8445, 5.1.2.1: addresses of interfaces, the router's port mapping, what peers saw in probes, what
 * STUN servers see, and last what TURN servers relay. However many a host has of the first, there is room for the
 * others.
 */
export function ownCandidates({
  port,
  linkedFrom,
  announced,
  hosts,
  observed,
  mapped,
  portMapped,
  relayed = [],
}: Candidates): string[] {
  const withPort = (host: string | undefined): string[] => {
    const endpoint = host === undefined ? undefined : endpointOf(host, port)
    return endpoint === undefined ? [] : [endpoint]
  }
  const own = [...withPort(linkedFrom), ...interleaved(hosts), ...announced.map(hostOf).flatMap(withPort)]
  const local = [...new Set(own)]
  const opened = portMapped === undefined ? [] : [portMapped]
  const seen = [...observed.slice(-MAX_OBSERVED), ...mapped.slice(0, MAX_OBSERVED)]
  // A router whose outside is private is itself behind a NAT: only hosts between the two reach the mapping.
  if (opened.some(isPublic)) seen.unshift(...opened)
  else seen.push(...opened)
  const outside = [...new Set([...seen, ...relayed])].filter((endpoint) => !local.includes(endpoint))
  return [...local.slice(0, MOST - outside.length), ...outside]
}

/**
 * Where the peer may be reached: at the addresses that it offers, and at the one that its link comes from. A host
 * behind a NAT may not know the latter.
 */
export function peerCandidates(
  offered: readonly string[],
  linkedTo: string | undefined,
  overlay: Prefix4,
): string[] {
  const port = Number(/:(\d+)$/.exec(offered[0] ?? '')?.[1] ?? 0)
  const seen = linkedTo === undefined ? undefined : endpointOf(linkedTo, port)
  const all = [...offered, ...(seen === undefined ? [] : [seen])]
  return [...new Set(all)].filter((endpoint) => mayBeHost(endpoint, overlay))
}

/** Each peer sees one mapping, and more of them teach a host nothing new. */
const MAX_WITNESSES = 16

/** This host's addresses as its peers see them. */
export class ObservedAddresses {
  readonly #byPeer = new Map<number, string>()
  /** The newest last: a peer that sees two mappings in turn must not have each announced again and again. */
  readonly #seen = new Set<string>()

  /** @returns true: no peer saw this address lately */
  put(hostId: number, address: string): boolean {
    const isNew = !this.#seen.delete(address)
    this.#seen.add(address)
    const [first] = this.#seen
    if (this.#seen.size > MAX_WITNESSES && first !== undefined) this.#seen.delete(first)
    this.#byPeer.delete(hostId)
    this.#byPeer.set(hostId, address)
    const [oldest] = this.#byPeer.keys()
    if (this.#byPeer.size > MAX_WITNESSES && oldest !== undefined) this.#byPeer.delete(oldest)
    return isNew
  }

  /** Each once, the newest last. */
  all(): string[] {
    return [...new Set(this.#byPeer.values())]
  }

  forget(hostId: number): void {
    this.#byPeer.delete(hostId)
  }

  clear(): void {
    this.#byPeer.clear()
    this.#seen.clear()
  }
}
