/** Notices changes by other programs: to the device, its routes, and the networks that lead to peers. */
import type { Millis } from '../../../../core/clock.ts'
import { KernelWatch, readUnderlay, type Underlay, underlayChange } from '../../../../kernel/underlay.ts'
import { ipBytes, isInNetworks } from './endpoint.ts'

export interface UnderlayWatchDeps {
  now(): Millis
  /** The device's. */
  ifindex(): number | undefined
  deviceGone(): void
  routeGone(): void
  /** @param what changed, in words, e.g. `addresses, routes` */
  networkChanged(what: string): void
}

/** An interface that comes up causes a dozen messages, which count as one change. */
const SETTLE_MS: Millis = 50

export class UnderlayWatch {
  readonly #deps: UnderlayWatchDeps
  readonly #watch = new KernelWatch()
  #underlay: Underlay = readUnderlay()
  #lookAt: Millis = Number.POSITIVE_INFINITY

  constructor(deps: UnderlayWatchDeps) {
    this.#deps = deps
  }

  /** To poll for reading. */
  get fd(): number {
    return this.#watch.fd
  }

  get nextAt(): Millis {
    return this.#lookAt
  }

  /** Addresses at which others may reach this host by UDP, as text, e.g. `192.0.2.1` or `2001:db8::1`. */
  get hosts(): string[] {
    return this.#underlay.hosts.map(ipBytes)
  }

  isLan(endpoint: string): boolean {
    return isInNetworks(this.#underlay.networks, endpoint)
  }

  /** Call it when the descriptor is readable. */
  read(): void {
    const changes = this.#watch.read(this.#deps.ifindex())
    if (changes.isDeviceGone) this.#deps.deviceGone()
    else if (changes.isRouteGone) this.#deps.routeGone()
    if (changes.isUnderlay) this.#lookAt = Math.min(this.#lookAt, this.#deps.now() + SETTLE_MS)
  }

  tick(): void {
    if (this.#deps.now() < this.#lookAt) return
    this.#lookAt = Number.POSITIVE_INFINITY
    const before = this.#underlay
    this.#underlay = readUnderlay()
    const what = underlayChange(before, this.#underlay)
    if (what !== undefined) this.#deps.networkChanged(what)
  }

  close(): void {
    this.#watch.close()
  }
}
