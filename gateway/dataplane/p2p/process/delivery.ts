/** What became of the packets that a session sent: loss, and sends that no acknowledgement follows. Pure. */
import type { Millis } from '../../../../core/clock.ts'
import type { SessionView } from '../protocol.ts'
import type { PeerCounters } from '../udp/types.ts'

/** An arrival is acknowledged at once when the one before it is older than 200 ms: sends so far apart have to be. */
const TIMES_MS: Millis = 500
/** Loss is a mean over the last 10 s or so: each second weighs a fifth less than the one after it. */
const MEASURE_MS: Millis = 1_000
const KEPT = 0.8
/** Fewer say nothing of loss. */
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

  /** To be called at least twice a second while packets are sent. */
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
    this.#told = this.#told * KEPT + counts.txAcked - txAcked
    this.#lost = this.#lost * KEPT + counts.txLost - txLost
    this.#measured = { ...counts }
    this.#measuredAt = now
  }

  /** As a view has it: `dataLossRate` after enough sends, `unacknowledged` after a send without news. */
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
