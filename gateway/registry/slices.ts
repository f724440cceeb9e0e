/** Which part of the supernet belongs to which host (docs/architecture/leases.md#slices), for any host. */

import { contains, type Ipv4, isInSlice, type Prefix4, sizeOf } from '../../core/addr.ts'

export class Slices {
  readonly #supernet: Prefix4
  readonly #hostPrefix: number

  constructor(supernet: Prefix4, hostPrefix: number) {
    this.#supernet = supernet
    this.#hostPrefix = hostPrefix
  }

  /** Highest hostId: the first slice holds the network's own address, the last one its broadcast address. */
  get maxHostId(): number {
    return Math.max(1, 2 ** (this.#hostPrefix - this.#supernet.prefixLen) - 2)
  }

  isHostId(value: unknown): value is number {
    return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= this.maxHostId
  }

  sliceOf(hostId: number): Prefix4 {
    return {
      base: this.#supernet.base + hostId * sizeOf(this.#hostPrefix),
      prefixLen: this.#hostPrefix,
    }
  }

  /** Undefined outside the supernet; 0 in its first slice, which no host has. */
  hostOf(ip: Ipv4): number | undefined {
    if (!contains(this.#supernet, ip)) return undefined
    return Math.floor((ip - this.#supernet.base) / sizeOf(this.#hostPrefix))
  }

  /** Whether this host may give the address to a container. */
  owns(hostId: number, ip: Ipv4): boolean {
    return isInSlice(this.sliceOf(hostId), ip)
  }
}
