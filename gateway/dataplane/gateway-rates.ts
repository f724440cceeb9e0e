/** The most that the gateways' connection has carried for each peer lately: what a UDP path has to be able to carry. */
import type { Millis } from '../../core/clock.ts'
import type { PeerStats } from './tunnel/peer.ts'

type Carried = Pick<PeerStats, 'hostId' | 'sentBytes' | 'receivedBytes'>

interface Peer {
  readonly sent: number
  readonly received: number
  readonly peakBps: number
  readonly peakAt: Millis
}

/** A burst of a tenth of a second says nothing about what the pair needs. */
const SAMPLE_MS: Millis = 1_000
/** As of a UDP path's own peak (gateway/paths/escalation/health.ts). */
const PEAK_AGE_MS: Millis = 600_000

export class GatewayRates {
  readonly #carried: () => readonly Carried[]
  readonly #now: () => Millis
  #peers: ReadonlyMap<number, Peer> = new Map()
  #at: Millis

  constructor(carried: () => readonly Carried[], now: () => Millis) {
    this.#carried = carried
    this.#now = now
    this.#at = now()
  }

  /** Bits per second in the busier direction, over a second at least; to be asked each second or so. */
  peakBps(hostId: number): number | undefined {
    this.#sample()
    return this.#peers.get(hostId)?.peakBps
  }

  /** A gateway that stood still has carried its bytes over a longer time. */
  #sample(): void {
    const now = this.#now()
    const seconds = (now - this.#at) / 1_000
    if (now - this.#at < SAMPLE_MS) return
    this.#at = now
    this.#peers = new Map(
      this.#carried().map((carried) => [carried.hostId, this.#next(carried, seconds, now)]),
    )
  }

  #next({ hostId, sentBytes: sent, receivedBytes: received }: Carried, seconds: number, now: Millis): Peer {
    const before = this.#peers.get(hostId) ?? { sent, received, peakBps: 0, peakAt: now }
    const bps = (Math.max(sent - before.sent, received - before.received, 0) * 8) / seconds
    const isPeak = bps >= before.peakBps || now - before.peakAt > PEAK_AGE_MS
    return {
      sent,
      received,
      ...(isPeak ? { peakBps: bps, peakAt: now } : { peakBps: before.peakBps, peakAt: before.peakAt }),
    }
  }
}
