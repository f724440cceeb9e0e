/** What this gateway relays for others: takes a stream of one host, opens one to another, and joins them. */

import type { Duplex } from 'node:stream'
import type { RelayConf } from '../../../conf/relay.ts'
import type { Log } from '../../../core/log.ts'
import type { Metrics } from '../../base/metrics.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { Membership } from '../../links/types.ts'
import type { RelayCapacity } from '../../paths/transport.ts'
import { TokenBucket } from './bucket.ts'
import { Capacity, type RelayLoad } from './capacity.ts'
import { Circuit } from './circuit.ts'
import { RelayLimit } from './limits.ts'
import { Pairs } from './pairs.ts'
import { Purpose, type RelayOffer, type RelayStreams, reasonOf } from './purpose.ts'

export interface RelayServerDeps {
  readonly conf: RelayConf
  readonly ownHostId: () => number
  readonly membership: Membership
  readonly streams: RelayStreams
  readonly scheduler: Scheduler
  readonly metrics: Metrics
  readonly log: Log
  /** Whether the link to a host stands. */
  isLinked(hostId: number): boolean
}

export class RelayServer {
  readonly #deps: RelayServerDeps
  readonly #capacity: Capacity
  readonly #pairs: Pairs
  /** How often each host may ask; members are few. */
  readonly #asks = new Map<number, TokenBucket>()
  #isStopped = false

  constructor(deps: RelayServerDeps) {
    this.#deps = deps
    this.#capacity = new Capacity(deps.conf, deps.scheduler.monotonic())
    this.#pairs = new Pairs(this.#capacity.maxPairs)
    deps.metrics.gauge(
      'flatnet_relay_pairs',
      'Pairs of hosts that this gateway relays',
      () => this.#pairs.size,
    )
  }

  get offered(): RelayCapacity {
    return this.#capacity.offered(this.#pairs.size, this.#deps.scheduler.monotonic())
  }

  get load(): RelayLoad {
    return this.#capacity.load(this.#pairs.size, this.#deps.scheduler.monotonic())
  }

  /**
   * A stream to be carried on. It comes straight from its host, as streams do, and what is opened to `to` is of another
   * purpose, which no gateway carries on: that is why there is never a second hop.
   */
  async accept(offer: RelayOffer): Promise<void> {
    const { hostId: from, head } = offer
    const { to } = head
    const refusal = this.#refusal(from, to)
    if (refusal !== undefined || typeof to !== 'number') {
      this.#refuse(offer, refusal ?? 'no host')
      return
    }
    const circuit = this.#circuit(from, to)
    const bucket = this.#pairs.enter(circuit, this.#deps.scheduler.monotonic())
    const leg = await this.#reach(circuit)
    if (circuit.ended === undefined && leg !== undefined) {
      this.#deps.log.info({ pair: `${from}-${to}` }, 'relay began')
      circuit.carry(offer.accept(), leg, this.#capacity.rateOf(bucket))
    } else {
      leg?.destroy()
      this.#refuse(offer, circuit.ended ?? '')
    }
  }

  /** Takes on nothing more; what is carried goes on, for as long as its ends need to have another way. */
  drain(): Promise<void> {
    this.#isStopped = true
    const { promise, resolve } = Promise.withResolvers<void>()
    if (this.#pairs.size === 0) resolve()
    else this.#deps.scheduler.after(RelayLimit.moveMs, resolve)
    return promise
  }

  stop(): void {
    this.#isStopped = true
    for (const circuit of this.#pairs.all()) circuit.end('the relay stops')
  }

  #refusal(from: number, to: unknown): string | undefined {
    const { isLinked, membership, ownHostId } = this.#deps
    if (this.#isStopped) return 'the relay stops'
    if (this.#capacity.refusal !== undefined) return this.#capacity.refusal
    if (typeof to !== 'number' || to === ownHostId() || to === from) return 'no host to relay to'
    for (const hostId of [from, to]) {
      const member = membership.members().find((m) => m.hostId === hostId)
      if (member === undefined) return `host ${hostId} is no member`
      const refusal = membership.refusal(hostId, member.keyId)
      if (refusal !== undefined) return `host ${hostId}: ${refusal}`
    }
    if (!this.#mayAsk(from)) return 'asked too often'
    if (!isLinked(to)) return `it has no link to host ${to}`
    return this.#pairs.refusal(from, to)
  }

  #mayAsk(from: number): boolean {
    const now = this.#deps.scheduler.monotonic()
    const asks = this.#asks.get(from) ?? new TokenBucket(RelayLimit.asksPerS, RelayLimit.asksBurst, now)
    this.#asks.set(from, asks)
    if (asks.reserve(0, now) > 0) return false
    asks.reserve(1, now)
    return true
  }

  #circuit(from: number, to: number): Circuit {
    const { scheduler, metrics, log } = this.#deps
    const circuit: Circuit = new Circuit(from, to, {
      scheduler,
      passed: (bytes) => {
        this.#capacity.passed(bytes)
        metrics.count('flatnet_relay_bytes_total', 'Bytes relayed for other hosts', '', bytes)
      },
      ended: (reason) => {
        this.#pairs.leave(circuit)
        if (circuit.hasBegun) log.info({ pair: `${from}-${to}`, reason }, 'relay ended')
      },
    })
    return circuit
  }

  /** The second leg; undefined when the circuit ended instead. */
  async #reach(circuit: Circuit): Promise<Duplex | undefined> {
    const { from, to } = circuit
    try {
      const head = { purpose: Purpose.relayed, from }
      return await this.#deps.streams.open(to, head, { timeoutMs: RelayLimit.legMs })
    } catch (err) {
      circuit.end(`host ${to} was not reached: ${reasonOf(err)}`)
      return undefined
    }
  }

  #refuse(offer: RelayOffer, reason: string): void {
    this.#deps.metrics.count('flatnet_relay_refused_total', 'Streams of peers that were not relayed')
    this.#deps.log.debug({ peer: offer.hostId, reason }, 'relay refused')
    offer.refuse(reason)
  }
}
