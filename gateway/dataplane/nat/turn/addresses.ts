/**
 * Chooses which address of a TURN server to ask: the next one after silence, another server's when it says so. Pure.
 */

import { parseEndpoint } from '../../p2p/process/endpoint.ts'

/** A server that refers to one that refers back would be asked for ever (RFC 8489, 10). */
const MAX_REFERRALS = 2

export class ServerAddresses {
  readonly #own: readonly string[]
  readonly #mayAsk: (address: string) => boolean
  /** Of `#own`: it stays with the address that answered last. */
  #index = 0
  #referral: string | undefined
  /** Asked since `begin`. */
  readonly #asked = new Set<string>()
  #referrals = 0

  /** @param mayAsk whether a server may be at an address that only another server named */
  constructor(own: readonly string[], mayAsk: (address: string) => boolean) {
    this.#own = own
    this.#mayAsk = mayAsk
  }

  /** `192.0.2.1:3478` */
  get current(): string {
    return this.#referral ?? this.#own[this.#index] ?? ''
  }

  /** A new allocation begins at an address of the server itself, which may refer to another one by now. */
  begin(): void {
    this.#referral = undefined
    this.#referrals = 0
    this.#asked.clear()
    this.#asked.add(this.current)
  }

  /** The present address is silent. @returns whether there is one that was not asked yet */
  next(): boolean {
    this.#referral = undefined
    this.#index = (this.#index + 1) % Math.max(1, this.#own.length)
    if (this.#asked.has(this.current)) return false
    this.#asked.add(this.current)
    return true
  }

  /** The server refers to another one. @returns whether that one is asked now */
  follow(address: string | undefined): boolean {
    if (address === undefined || this.#referrals >= MAX_REFERRALS) return false
    if (this.#asked.has(address) || !this.#mayAsk(address)) return false
    this.#referrals++
    this.#asked.add(address)
    this.#referral = address
    return true
  }
}

/** An IPv4 address relays for IPv4 alone (443). */
export const sameFamily = (ips: ReadonlySet<string>, relayed: string): ReadonlySet<string> => {
  const isV6 = parseEndpoint(relayed)?.ip.byteLength === 16
  return new Set([...ips].filter((ip) => ip.includes(':') === isV6))
}
