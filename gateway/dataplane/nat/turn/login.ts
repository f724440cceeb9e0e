/**
 * Keeps the credentials of one allocation, and the ones that follow when a secret made them for a limited time. Pure.
 */

import type { Millis } from '../../../../core/clock.ts'
import { type Credentials, credentialsOf, LIFE_MS, type TurnLogin } from './credentials.ts'

/** What servers give unless asked for less (RFC 8656, 7.2), in seconds. */
const LIFETIME_S = 600
/** Refreshes come each 25 s, and one may be lost. */
const LEAST_LIFETIME_S = 60

export class Login {
  readonly #login: TurnLogin
  readonly #lifeMs: Millis
  #current: Credentials
  /** The server keeps this allocation to the name that it began with (441). */
  #isTied = false

  /** @param wallNow ms since the epoch @param lifeMs tests wait for less than a day */
  constructor(login: TurnLogin, wallNow: Millis, lifeMs: Millis = LIFE_MS) {
    this.#login = login
    this.#lifeMs = lifeMs
    this.#current = credentialsOf(login, wallNow, lifeMs)
  }

  get current(): Credentials {
    return this.#current
  }

  /** A new allocation begins. */
  begin(wallNow: Millis): void {
    this.#current = credentialsOf(this.#login, wallNow, this.#lifeMs)
    this.#isTied = false
  }

  /** @returns credentials to refresh with from now on, if the server takes them; undefined: the present ones serve */
  successor(wallNow: Millis): Credentials | undefined {
    const leftMs = this.#leftMs(wallNow)
    if (this.#isTied || leftMs > Math.min(LIFETIME_S * 1_000, this.#lifeMs / 2)) return undefined
    return credentialsOf(this.#login, wallNow, this.#lifeMs)
  }

  /** @param isTaken whether the server refreshed by them */
  tried(successor: Credentials, isTaken: boolean): void {
    if (isTaken) this.#current = successor
    else this.#isTied = true
  }

  hasExpired(wallNow: Millis): boolean {
    return this.#leftMs(wallNow) <= 0
  }

  /**
   * Seconds to ask for. A server that keeps to the first name may refuse it once it expires, and only when the
   * allocation has ended as well, this host may have another.
   */
  lifetimeS(wallNow: Millis): number {
    if (!this.#isTied) return LIFETIME_S
    const leftS = Math.floor(this.#leftMs(wallNow) / 1_000)
    return Math.max(LEAST_LIFETIME_S, Math.min(LIFETIME_S, leftS))
  }

  #leftMs(wallNow: Millis): Millis {
    return this.#current.until === undefined ? Number.POSITIVE_INFINITY : this.#current.until - wallNow
  }
}
