/** Renews this host's certificate when it is due: itself if it has the CA's key, else by another host. */

import type { Clock, Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import { fingerprintOfCa, requestRenewal } from '../joining/joining.ts'
import type { ClusterState } from '../members/state.ts'
import { lifeOf, renewsAt } from './life.ts'

/** setTimeout holds 24 days, and a clock that is set meanwhile is noticed within the hour. */
const LOOK_AGAIN_MS: Millis = 3_600_000
const FIRST_RETRY_MS: Millis = 5_000
const MAX_RETRY_MS: Millis = 3_600_000

export interface RenewalDeps {
  readonly state: ClusterState
  readonly clock: Clock
  readonly log: Log
  /** When this host holds the CA's key. @returns the certificate */
  renewHere(requestPem: string): Promise<string>
  /** By the link that stands with an admitting host. @throws {Error} there is none, or it refuses */
  renewByLink(hostId: number, requestPem: string): Promise<{ certPem: string; sealed: unknown }>
  /** What came with the certificate. */
  adopt(sealed: unknown): void
  renewed(): void
}

export class Renewal {
  readonly #deps: RenewalDeps
  readonly #random = Math.random()
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #isStopped = false

  constructor(deps: RenewalDeps) {
    this.#deps = deps
  }

  start(): void {
    const { state, clock } = this.#deps
    const dueMs = renewsAt(lifeOf(state.identity.certPem), this.#random) - clock.now()
    this.#in(Math.min(Math.max(0, dueMs), LOOK_AGAIN_MS))
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #in(ms: Millis): void {
    if (this.#isStopped) return
    this.#timer = setTimeout(() => void this.#look(), ms)
  }

  async #look(): Promise<void> {
    const { state, clock, log } = this.#deps
    if (renewsAt(lifeOf(state.identity.certPem), this.#random) > clock.now()) return this.start()
    try {
      await this.#renew()
      this.#failures = 0
      log.info({}, 'certificate renewed')
      this.start()
    } catch (err) {
      log.warn({ err }, 'certificate could not be renewed')
      const base = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++)
      this.#in(base * (0.8 + 0.4 * Math.random()))
    }
  }

  async #renew(): Promise<void> {
    const { state, renewHere, adopt, renewed } = this.#deps
    const { makeRequest } = await import('./certificates.ts')
    const { requestPem } = await makeRequest(state.identity.keyPem)
    if (state.caKeyPem !== undefined) state.renewed(await renewHere(requestPem))
    else {
      const { certPem, sealed } = await this.#ask(requestPem)
      state.renewed(certPem)
      adopt(sealed)
    }
    if (!this.#isStopped) renewed()
  }

  /** Any that admits, by the link or by dialling it as a newcomer does; the last error counts. */
  async #ask(requestPem: string): Promise<{ certPem: string; sealed: unknown }> {
    const { state, renewByLink } = this.#deps
    const caFingerprint = fingerprintOfCa(state.identity.caPem)
    let last: unknown = new Error('no host of this cluster admits')
    for (const member of state.document.members) {
      if (!member.admits || member.state !== 'active') continue
      const addresses = state.endpointsOf(member)
      const { hostId } = member
      const ways = [
        () => renewByLink(hostId, requestPem),
        () => requestRenewal(state.identity, { caFingerprint, hostId, addresses }, requestPem),
      ]
      for (const way of ways) {
        try {
          return await way()
        } catch (err) {
          last = err
        }
      }
    }
    throw last
  }
}
