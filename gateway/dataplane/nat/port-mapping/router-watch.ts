/**
 * Notices that the router was started anew and has forgotten all mappings: asks it how long it has been counting, as
 * PCP and NAT-PMP say in each answer, and by UPnP whether the mapping is there.
 */

import type { PortMappingProtocol } from '../../../../conf/port-mapping.ts'
import type { Millis } from '../../../../core/clock.ts'
import type { Scheduler } from '../../../base/scheduler.ts'
import type { MappedByUpnp, Refusal, RouterPlace } from './types.ts'

/** A datagram of 2 or 24 bytes each time, by UPnP one request; a mapping is renewed every half hour only. */
const EVERY_MS: Millis = 120_000
/** An announcement makes it ask sooner, but anyone in the LAN can send one. */
const LEAST_MS: Millis = 5_000
/** RFC 6887, 8.5: clocks may differ by a sixteenth, and by 2 s. */
const DRIFT = 1 / 16
const SLACK_S = 2

export interface Epoch {
  /** Seconds since the router lost its mappings, as it says. */
  readonly seconds: number
  /** This host's monotonic clock. */
  readonly at: Millis
}

/** RFC 6887, 8.5; it holds for what RFC 6886, 3.6, says of NAT-PMP as well. */
export function isAnew(before: Epoch, now: Epoch): boolean {
  if (now.seconds < before.seconds - 1) return true
  const here = (now.at - before.at) / 1_000
  const there = now.seconds - before.seconds
  return here + SLACK_S < there - there * DRIFT || there + SLACK_S < here - here * DRIFT
}

export interface RouterWatchDeps {
  readonly scheduler: Scheduler
  askEpoch(
    protocol: PortMappingProtocol,
    place: RouterPlace,
    signal: AbortSignal,
  ): Promise<{ readonly seconds: number } | Refusal>
  /** By UPnP. */
  isMapped(
    place: RouterPlace,
    mapping: MappedByUpnp,
    signal: AbortSignal,
  ): Promise<{ readonly isThere: boolean } | Refusal>
  /** Calls back for each announcement of the router, until it is disposed of. */
  hear(protocol: PortMappingProtocol, place: RouterPlace, announced: () => void): Disposable
}

interface Followed {
  readonly protocol: PortMappingProtocol
  readonly place: RouterPlace
  readonly mapping: MappedByUpnp | undefined
}

export class RouterWatch {
  readonly #deps: RouterWatchDeps
  readonly #restarted: () => void
  #router: Followed | undefined
  #epoch: Epoch | undefined
  /** By UPnP: the router has told of the mapping. One that never does knows no such question. */
  #wasThere = false
  #askedAt: Millis = Number.NEGATIVE_INFINITY
  #asking: AbortController | undefined
  #hearing: Disposable | undefined
  #cancel = (): void => {}

  /** @param restarted it has no mappings any more */
  constructor(deps: RouterWatchDeps, restarted: () => void) {
    this.#deps = deps
    this.#restarted = restarted
  }

  /** The router has just granted a mapping. @param mapping by UPnP */
  follow(protocol: PortMappingProtocol, place: RouterPlace, mapping?: MappedByUpnp): void {
    this.stop()
    if (protocol === 'upnp' && mapping === undefined) return
    this.#router = { protocol, place, mapping }
    this.#hearing = this.#deps.hear(protocol, place, () => this.#look())
    void this.#ask()
  }

  /** It is said to have been started anew, which anything in the LAN could say. */
  #look(): void {
    const { scheduler } = this.#deps
    if (this.#asking === undefined) this.#later(Math.max(0, this.#askedAt + LEAST_MS - scheduler.monotonic()))
  }

  /** There is no mapping that it could have lost. */
  stop(): void {
    this.#cancel()
    this.#asking?.abort()
    this.#asking = undefined
    this.#hearing?.[Symbol.dispose]()
    this.#hearing = undefined
    this.#router = undefined
    this.#epoch = undefined
    this.#wasThere = false
  }

  #later(ms: Millis): void {
    this.#cancel()
    this.#cancel = this.#deps.scheduler.after(ms, () => void this.#ask())
  }

  async #ask(): Promise<void> {
    const router = this.#router
    if (router === undefined) return
    const controller = new AbortController()
    this.#asking = controller
    this.#askedAt = this.#deps.scheduler.monotonic()
    const isForgotten = await this.#isForgotten(router, controller.signal)
    // Stopped, or another router is followed.
    if (this.#asking !== controller) return
    this.#asking = undefined
    this.#later(EVERY_MS)
    // A router that starts is silent for a while: the next time it answers, it counts from the beginning.
    if (isForgotten()) this.#restarted()
  }

  /** @returns to be called if the answer still counts */
  async #isForgotten({ protocol, place, mapping }: Followed, signal: AbortSignal): Promise<() => boolean> {
    const { askEpoch, isMapped, scheduler } = this.#deps
    if (mapping !== undefined) {
      const answer = await isMapped(place, mapping, signal)
      return () => {
        if ('refused' in answer) return false
        this.#wasThere ||= answer.isThere
        return this.#wasThere && !answer.isThere
      }
    }
    const answer = await askEpoch(protocol, place, signal)
    return () => {
      if ('refused' in answer) return false
      const before = this.#epoch
      this.#epoch = { seconds: answer.seconds, at: scheduler.monotonic() }
      return before !== undefined && isAnew(before, this.#epoch)
    }
  }
}
