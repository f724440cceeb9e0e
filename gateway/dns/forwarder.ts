/** Passes questions on to other DNS servers: one after the other, within a time, and only so many at once. */

import type { Millis } from '../../core/clock.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { DnsServer } from './host-servers.ts'
import { rcodeOf } from './message.ts'
import { askTcp } from './upstream-tcp.ts'
import { type Ask, askUdp, type Outcome } from './upstream-udp.ts'

/** glibc and musl wait 5 s; within that they hear from us. */
const DEADLINE_MS: Millis = 4_500
/** A server that has not answered by then is not given up, but the next one is asked too. */
const NEXT_MS: Millis = 1_000
/** In all servers together, for one question. */
const MAX_TRIES = 6
/** Questions that wait for servers. Each holds a socket and some 10 KiB. */
const MAX_WAITING = 512
/** Of one container, so that it does not take the places of the others. */
const MAX_WAITING_PER_CLIENT = 128
/** A server that failed is asked last for so long. */
const AVOIDED_MS: Millis = 10_000
/** SERVFAIL, NOTIMP and REFUSED: another server may know. */
const PASSED_OVER = [2, 4, 5]

/** `bytes` has the server's id. `busy`: too many wait; `none`: no server answered in time. */
export type Forwarded =
  | { readonly kind: 'answer'; readonly bytes: Buffer }
  | { readonly kind: 'busy' }
  | { readonly kind: 'none' }

export interface ForwarderDeps {
  readonly scheduler: Scheduler
  /** Forged answers came, or answers of a server that mixes questions up. */
  onForged(server: DnsServer): void
  readonly askUdp?: Ask | undefined
  readonly askTcp?: Ask | undefined
}

interface Request {
  readonly bytes: Buffer
  /** Address of who asks. */
  readonly client: string
  readonly isTcp: boolean
  /** At least one. */
  readonly servers: readonly DnsServer[]
}

export class Forwarder {
  readonly #deps: ForwarderDeps
  /** By client, the oldest first. */
  readonly #waiting = new Map<string, Set<Job>>()
  #count = 0
  readonly #failedAt = new Map<string, Millis>()

  constructor(deps: ForwarderDeps) {
    this.#deps = deps
  }

  get waiting(): number {
    return this.#count
  }

  forward(request: Request): Promise<Forwarded> {
    const own = this.#waiting.get(request.client) ?? new Set<Job>()
    if (own.size >= MAX_WAITING_PER_CLIENT) return Promise.resolve({ kind: 'busy' })
    // The client that has most makes room, so that a few greedy ones do not shut out all others.
    if (this.#count >= MAX_WAITING) oldestOf(this.#greediest())?.end({ kind: 'busy' })
    return new Promise((resolve) => {
      const job = new Job({
        ...this.#deps,
        request: { ...request, servers: this.#inOrder(request.servers) },
        failed: (server) => this.#avoid(server),
        ended: (forwarded) => {
          this.#leave(request.client, job)
          resolve(forwarded)
        },
      })
      own.add(job)
      this.#waiting.set(request.client, own)
      this.#count++
      job.start()
    })
  }

  close(): void {
    for (const jobs of [...this.#waiting.values()]) for (const job of [...jobs]) job.end({ kind: 'none' })
  }

  #leave(client: string, job: Job): void {
    const own = this.#waiting.get(client)
    if (own?.delete(job) === true) this.#count--
    if (own?.size === 0) this.#waiting.delete(client)
  }

  #greediest(): ReadonlySet<Job> {
    let most: ReadonlySet<Job> = new Set()
    for (const jobs of this.#waiting.values()) if (jobs.size > most.size) most = jobs
    return most
  }

  #avoid(server: DnsServer): void {
    this.#failedAt.set(keyOf(server), this.#deps.scheduler.monotonic())
    // Configurations change; a few old servers are no burden.
    const [oldest] = this.#failedAt.keys()
    if (this.#failedAt.size > 32 && oldest !== undefined) this.#failedAt.delete(oldest)
  }

  /** As configured, but those that failed a moment ago last. */
  #inOrder(servers: readonly DnsServer[]): readonly DnsServer[] {
    const since = this.#deps.scheduler.monotonic() - AVOIDED_MS
    const isAvoided = (server: DnsServer): boolean => (this.#failedAt.get(keyOf(server)) ?? since) > since
    return [...servers.filter((s) => !isAvoided(s)), ...servers.filter(isAvoided)]
  }
}

const keyOf = ({ host, port }: DnsServer): string => `${host} ${port}`
const oldestOf = (jobs: ReadonlySet<Job>): Job | undefined => jobs.values().next().value

interface JobDeps extends ForwarderDeps {
  readonly request: Request
  failed(server: DnsServer): void
  /** Called once. */
  ended(forwarded: Forwarded): void
}

/** One question on its way. */
class Job {
  readonly #deps: JobDeps
  readonly #open = new Set<() => void>()
  #cancelNext = (): void => {}
  #cancelDeadline = (): void => {}
  #tries = 0
  /** The best of what was passed over: better than silence. */
  #second: Forwarded | undefined
  #isOver = false

  constructor(deps: JobDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#cancelDeadline = this.#deps.scheduler.after(DEADLINE_MS, () => this.#giveUp())
    this.#next()
  }

  end(forwarded: Forwarded): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelDeadline()
    this.#cancelNext()
    for (const close of this.#open) close()
    this.#deps.ended(forwarded)
  }

  #next(): void {
    this.#cancelNext()
    const { request, scheduler, askUdp: udp = askUdp, askTcp: tcp = askTcp } = this.#deps
    const server = request.servers[this.#tries % request.servers.length]
    if (this.#isOver || server === undefined || this.#tries >= MAX_TRIES) return
    this.#tries++
    const ask = request.isTcp ? tcp : udp
    const close = ask(server, request.bytes, (outcome) => {
      this.#open.delete(close)
      this.#heard(server, outcome)
    })
    this.#open.add(close)
    this.#cancelNext = scheduler.after(NEXT_MS, () => {
      this.#deps.failed(server)
      this.#next()
    })
  }

  #heard(server: DnsServer, outcome: Outcome): void {
    if (outcome.kind === 'answer' && !PASSED_OVER.includes(rcodeOf(outcome.bytes))) {
      this.end({ kind: 'answer', bytes: outcome.bytes })
      return
    }
    if (outcome.kind === 'answer') this.#second ??= { kind: 'answer', bytes: outcome.bytes }
    else if (outcome.isForged) this.#deps.onForged(server)
    if (outcome.kind === 'failed') this.#deps.failed(server)
    // Each server was asked, and none is left that may still answer.
    const isLast = this.#tries >= this.#deps.request.servers.length && this.#open.size === 0
    if (isLast && !(outcome.kind === 'failed' && outcome.isForged && this.#tries < MAX_TRIES)) this.#giveUp()
    else this.#next()
  }

  #giveUp(): void {
    this.end(this.#second ?? { kind: 'none' })
  }
}
