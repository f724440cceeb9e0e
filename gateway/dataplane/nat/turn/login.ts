/**
 * Keeps the credentials of one allocation, and the ones that follow when a secret made them for a limited time. Pure.
 */

import type { Millis } from '../../../../core/clock.ts'
import { type Credentials, credentialsOf, LIFE_MS, type TurnLogin } from './credentials.ts'

/** What servers give unless asked for less (RFC 8656, 7.2), in seconds. */
const LIFETIME_S = 600
/** Refreshes come each 25 s, and one may be lost. */
const LEAST_LIFETIME_S = 60
/** Less than from one refresh to the next. */
const ONCE_MORE_MS: Millis = 20_000

export class Login {
  readonly #login: TurnLogin
  readonly #lifeMs: Millis
  #current: Credentials
  /** Since when it is known that the server keeps this allocation to the name that it began with (441), wall clock. */
  #tiedAt: Millis | undefined

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
    this.#tiedAt = undefined
  }

  /**
   * Once the present ones are over, each refresh begins with new ones: a server that was started anew refuses the old
   * name, and coturn keeps this host's port to the first name that it hears there for a minute.
   * @returns credentials to refresh with from now on, if the server takes them; undefined: the present ones serve
   */
  successor(wallNow: Millis): Credentials | undefined {
    const leftMs = this.#leftMs(wallNow)
    if (leftMs > Math.min(LIFETIME_S * 1_000, this.#lifeMs / 2)) return undefined
    const isAgain = this.#tiedAt !== undefined && (leftMs > 0 || wallNow - this.#tiedAt < ONCE_MORE_MS)
    if (isAgain) return undefined
    return credentialsOf(this.#login, wallNow, this.#lifeMs)
  }

  /** @param isTaken whether the server refreshed by them */
  tried(successor: Credentials, isTaken: boolean, wallNow: Millis): void {
    if (isTaken) this.#current = successor
    else this.#tiedAt = wallNow
  }

  hasExpired(wallNow: Millis): boolean {
    return this.#leftMs(wallNow) <= 0
  }

  /**
   * Seconds to ask for. A server that keeps to the first name may refuse it once it expires, and only when the
   * allocation has ended as well, this host may have another.
   */
  lifetimeS(wallNow: Millis): number {
    if (this.#tiedAt === undefined) return LIFETIME_S
    const leftS = Math.floor(this.#leftMs(wallNow) / 1_000)
    return Math.max(LEAST_LIFETIME_S, Math.min(LIFETIME_S, leftS))
  }

  #leftMs(wallNow: Millis): Millis {
    return this.#current.until === undefined ? Number.POSITIVE_INFINITY : this.#current.until - wallNow
  }
}
