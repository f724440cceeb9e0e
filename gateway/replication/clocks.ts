/**
 * Compares the wall clocks of the peers with the own one.
 *
 * Certificates depend on all of them, and nothing else would show a wrong one.
 */

import type { Millis } from '../../core/clock.ts'
import type { Alarms } from './alarms.ts'
import type { ReplicationDeps } from './deps.ts'

/** As at joining. Certificates allow two hours, so a person has the time to act. */
const MAX_OFF_MS: Millis = 5 * 60_000
/** A clock that has just been started is put right within it. */
const PATIENCE_MS: Millis = 25_000
/** What was said before this counts no more: three digests missed. */
const STALE_MS: Millis = 40_000

interface ClocksDeps extends Pick<ReplicationDeps, 'scheduler' | 'registry'> {
  readonly alarms: Alarms
}

export class Clocks {
  readonly #deps: ClocksDeps
  /** The peer's clock less the own one, by host: bounded by the members. */
  readonly #offs = new Map<number, { readonly offMs: Millis; readonly at: Millis }>()

  constructor(deps: ClocksDeps) {
    this.#deps = deps
  }

  /** A peer says what its clock shows; a message is on its way for less than what counts. */
  onReading(hostId: number, theirs: Millis): void {
    const { alarms, registry, scheduler } = this.#deps
    const now = scheduler.monotonic()
    const offMs = theirs - scheduler.now()
    this.#offs.set(hostId, { offMs, at: now })
    const usual = this.#usual(now)
    if (Math.abs(usual) > MAX_OFF_MS) {
      const reason = `its clock is ${apart(-usual)} those of most other hosts`
      alarms.raise('clock', { hostId: registry.hostId, reason, next: NEXT }, PATIENCE_MS)
    } else if (Math.abs(offMs - usual) > MAX_OFF_MS) {
      const reason = `its clock is ${apart(offMs)} that of host ${registry.hostId}`
      alarms.raise('clock', { hostId, reason, next: NEXT }, PATIENCE_MS)
    }
  }

  /** The offset in the middle, the own one of 0 among them; of two whichever is nearer to it. */
  #usual(now: Millis): Millis {
    const fresh = [...this.#offs.values()].filter(({ at }) => now - at < STALE_MS).map(({ offMs }) => offMs)
    const all = [...fresh, 0].sort((a, b) => a - b)
    const [low = 0, high = 0] = [all[(all.length - 1) >> 1], all[all.length >> 1]]
    return Math.abs(low) < Math.abs(high) ? low : high
  }
}

const NEXT =
  'set it right there (timedatectl set-ntp true), or hosts refuse certificates that are not valid yet'

function apart(offMs: Millis): string {
  const minutes = Math.round(Math.abs(offMs) / 60_000)
  const amount = minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`
  return `${amount} ${offMs > 0 ? 'ahead of' : 'behind'}`
}
