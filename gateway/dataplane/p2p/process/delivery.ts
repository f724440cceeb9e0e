/** Measures what became of a session's packets: loss, and sends that were never acknowledged. Pure. */
import type { Millis } from '../../../../core/clock.ts'
import type { SessionView } from '../protocol.ts'
import type { PeerCounters } from '../udp/types.ts'

/** A peer acknowledges at once what arrives more than 200 ms after the arrival before; sends this far apart do. */
const TIMES_MS: Millis = 500
/** Loss is a mean over about the last 10 s: each second weighs a fifth less than the next one. */
const MEASURE_MS: Millis = 1_000
const KEPT = 0.8
/** More do not weigh more: a second at 4 Gbit/s would hide for 20 s what 1 Mbit/s after it loses. */
const SECOND_AT_MOST = 50
/** Fewer say nothing about loss. */
const LEAST_DATAGRAMS = 20

type Counts = Pick<PeerCounters, 'txDatagrams' | 'txAcked' | 'txLost'>

type DeliveryView = Pick<SessionView, 'dataLossRate' | 'unacknowledged'>

export class Delivery {
  #sent = 0
  #acked = 0
  #times = 0
  #timeAt: Millis = Number.NEGATIVE_INFINITY
  #since: Millis = 0
  #measuredAt: Millis
  #measured: Counts
  #told = 0
  #lost = 0

  constructor(counts: Counts, now: Millis) {
    this.#sent = counts.txDatagrams
    this.#acked = counts.txAcked
    this.#measuredAt = now
    this.#measured = { ...counts }
  }

  /** Call it at least twice a second while packets are sent. */
  watch(counts: Counts, now: Millis): void {
    const { txDatagrams, txAcked } = counts
    if (txAcked !== this.#acked) this.#times = 0
    else if (txDatagrams !== this.#sent) this.#sentAt(now)
    this.#acked = txAcked
    this.#sent = txDatagrams
    if (now - this.#measuredAt >= MEASURE_MS) this.#measure(counts, now)
  }

  #sentAt(now: Millis): void {
    if (this.#times > 0 && now - this.#timeAt < TIMES_MS) return
    if (this.#times === 0) this.#since = now
    this.#times++
    this.#timeAt = now
  }

  #measure(counts: Counts, now: Millis): void {
    const { txAcked, txLost } = this.#measured
    const told = counts.txAcked - txAcked
    const weight = Math.min(1, SECOND_AT_MOST / Math.max(1, told))
    this.#told = this.#told * KEPT + told * weight
    this.#lost = this.#lost * KEPT + (counts.txLost - txLost) * weight
    this.#measured = { ...counts }
    this.#measuredAt = now
  }

  /** Part of the session's view: `dataLossRate` after enough sends, `unacknowledged` after a send without news. */
  view(now: Millis): DeliveryView {
    return {
      ...(this.#told >= LEAST_DATAGRAMS && {
        dataLossRate: Math.min(1, Math.max(0, this.#lost / this.#told)),
      }),
      ...(this.#times > 0 && {
        unacknowledged: { times: this.#times, forMs: Math.max(0, now - this.#since) },
      }),
    }
  }
}
