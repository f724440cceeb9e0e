/** Answers one message: from the registry at once, or with what another DNS server says. */

import type { Log } from '../../core/log.ts'
import { LogLimiter } from '../base/log-limit.ts'
import { type Metrics, series } from '../base/metrics.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { answer, type Zone } from './answer.ts'
import { Forwarder } from './forwarder.ts'
import type { DnsServer } from './host-servers.ts'
import { type Content, encodeAnswer, encodeRefusal, judge, type Query } from './message.ts'
import type { Ask } from './upstream-udp.ts'

export interface ResolverDeps {
  readonly zone: Zone
  readonly metrics: Metrics
  readonly scheduler: Scheduler
  readonly log: Log
  readonly askUdp?: Ask
  readonly askTcp?: Ask
}

export interface Asked {
  readonly bytes: Buffer
  /** Address of who asks. */
  readonly client: string
  readonly isTcp: boolean
  /** Where names go that are not ours. */
  servers(): Promise<readonly DnsServer[]>
}

/** `local` by us, `forwarded` by another server; the rest are errors, by what is wrong. */
export type DnsOutcome = 'local' | 'missing' | 'forwarded' | 'failed' | 'busy' | 'refused' | 'malformed'

const TOTAL = 'flatnet_dns_queries_total'
const TOTAL_HELP = 'Questions of containers for names, by how they ended'
// Made once: each question counts here.
const LABELS = Object.fromEntries(
  ['local', 'missing', 'forwarded', 'failed', 'busy', 'refused', 'malformed'].map((outcome) => [
    outcome,
    series({ outcome }),
  ]),
) as Record<DnsOutcome, string>

const REFUSED: Content = { rcode: 'REFUSED' }
const FAILED: Content = { rcode: 'SERVFAIL' }

export class Resolver {
  readonly #deps: ResolverDeps
  readonly #forwarder: Forwarder
  readonly #limit = new LogLimiter(60_000)

  constructor(deps: ResolverDeps) {
    this.#deps = deps
    this.#forwarder = new Forwarder({ ...deps, onForged: (server) => this.#forged(server) })
  }

  /** Questions that wait for other servers. */
  get waiting(): number {
    return this.#forwarder.waiting
  }

  close(): void {
    this.#forwarder.close()
  }

  /** @param reply called once, or never: what is no question gets no answer */
  resolve(asked: Asked, reply: (bytes: Buffer) => void): void {
    const judged = judge(asked.bytes)
    if (judged.kind !== 'query') this.#count('malformed')
    if (judged.kind === 'refused') reply(encodeRefusal(asked.bytes, judged.rcode))
    if (judged.kind !== 'query') return
    const { query } = judged
    const decided = answer(query, this.#deps.zone)
    if (decided.kind === 'foreign') {
      void this.#forward(query, asked).then(reply)
      return
    }
    const content = decided.kind === 'ours' ? decided : REFUSED
    this.#count(decided.kind === 'refused' ? 'refused' : decided.rcode === 'NXDOMAIN' ? 'missing' : 'local')
    reply(encodeAnswer(query, content, asked.isTcp))
  }

  async #forward(query: Query, { bytes, client, isTcp, servers }: Asked): Promise<Buffer> {
    const failed = (outcome: DnsOutcome, content: Content): Buffer => {
      this.#count(outcome)
      return encodeAnswer(query, content, isTcp)
    }
    let known: readonly DnsServer[]
    try {
      known = await servers()
    } catch (err) {
      this.#warn({ err }, 'DNS servers of this host could not be read')
      return failed('failed', FAILED)
    }
    if (known.length === 0) return failed('refused', REFUSED)
    const forwarded = await this.#forwarder.forward({ bytes, client, isTcp, servers: known })
    if (forwarded.kind !== 'answer') return failed(forwarded.kind === 'busy' ? 'busy' : 'failed', FAILED)
    this.#count('forwarded')
    forwarded.bytes.writeUInt16BE(query.id, 0)
    return forwarded.bytes
  }

  #forged(server: DnsServer): void {
    this.#deps.metrics.count('flatnet_dns_forged_total', 'Questions to which forged answers came')
    this.#warn(
      { endpoint: `${server.host}:${server.port}` },
      'answers to no question of ours came from a DNS server',
    )
  }

  #warn(fields: Parameters<Log['warn']>[0], message: string): void {
    if (this.#limit.isDue(message, this.#deps.scheduler.monotonic())) this.#deps.log.warn(fields, message)
  }

  #count(outcome: DnsOutcome): void {
    this.#deps.metrics.count(TOTAL, TOTAL_HELP, LABELS[outcome])
  }
}
