/** Chooses the addresses that a host offers for UDP: its links' own, announced ones, and those that peers see. */

import { isIPv4, isIPv6 } from 'node:net'

/** A peer accepts no more. */
const MOST = 16
/** A NAT shows one mapping to all peers, or a different one to each. Probing more than a few would be guessing. */
const MAX_OBSERVED = 4

/** Of the way over UDP that this address is for. */
export const tierOf = (address: string): 'ipv4' | 'ipv6' => (address.startsWith('[') ? 'ipv6' : 'ipv4')

/** `192.0.2.1:7443` or `[2001:db8::1]:7443`. */
export function isEndpoint(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 56) return false
  const [, v6, v4, port] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):([1-9]\d{0,4})$/.exec(value) ?? []
  return Number(port) <= 65_535 && (v6 === undefined ? isIPv4(v4 ?? '') : isIPv6(v6))
}

/** @param address as a socket names it: `::ffff:192.0.2.1` is IPv4, `fe80::1%eth0` means nothing on other machines */
export function endpointOf(address: string, port: number): string | undefined {
  const plain = address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '')
  if (port < 1 || plain.startsWith('fe80:') || plain.includes('%')) return undefined
  if (isIPv4(plain)) return `${plain}:${port}`
  return isIPv6(plain) ? `[${plain}]:${port}` : undefined
}

/** The IP address of a TCP endpoint. @returns undefined for a host name: nothing is looked up here */
function hostOf(endpoint: string): string | undefined {
  const [, v6, host] = /^(?:\[(.+)\]|(.+)):\d+$/.exec(endpoint) ?? []
  const address = v6 ?? host
  return address !== undefined && (isIPv4(address) || isIPv6(address)) ? address : undefined
}

export interface OwnAddresses {
  /** The UDP port that the P2P process listens on. */
  readonly port: number
  /** This host's end of the link to the peer: packets to the peer leave from it. */
  readonly linkedFrom: string | undefined
  /** `host:port` for TCP, as announced to all members. */
  readonly announced: readonly string[]
  /** `address:port`, the newest last. */
  readonly observed: readonly string[]
}

/** The likeliest first. */
export function ownCandidates({ port, linkedFrom, announced, observed }: OwnAddresses): string[] {
  const hosts = [linkedFrom, ...announced.map(hostOf)].filter((h) => h !== undefined)
  const local = hosts.map((host) => endpointOf(host, port)).filter((e) => e !== undefined)
  return [...new Set([...local, ...observed.slice(-MAX_OBSERVED)])].slice(0, MOST)
}

/**
 * Where the peer may be reached: at the addresses that it offers, and at the one that its link comes from. A host
 * behind a NAT may not know the latter.
 */
export function peerCandidates(offered: readonly string[], linkedTo: string | undefined): string[] {
  const port = Number(/:(\d+)$/.exec(offered[0] ?? '')?.[1] ?? 0)
  const seen = linkedTo === undefined ? undefined : endpointOf(linkedTo, port)
  return [...new Set([...offered, ...(seen === undefined ? [] : [seen])])]
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
