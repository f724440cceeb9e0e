/** Small messages between hosts that no path connects: HTTP requests out, answers back. */

import { randomBytes } from 'node:crypto'
import { switchedOff, type TierConf } from '../../conf/tiers.ts'
import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Part } from '../base/part.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { ControlMessage, Identity } from '../links/types.ts'
import {
  type Envelope,
  keyOf,
  LIFE_MS,
  MAX_PLAIN_BYTES,
  openEnvelope,
  type Unsealed,
  whyRefused,
  writeEnvelope,
} from './envelope.ts'
import {
  type LateAnswer,
  type LateRequest,
  readAnswer,
  readRequest,
  writeAnswer,
  writeRequest,
} from './http-message.ts'
import { type OwnDisk, type OwnRequest, OwnRequests, type StoredAnswer } from './own-requests.ts'
import { Spread } from './spread.ts'
import { type MessageDisk, MessageStore } from './store.ts'

export interface MessagesDeps {
  readonly scheduler: Scheduler
  readonly log: Log
  readonly metrics: Metrics
  readonly disk: MessageDisk
  readonly ownDisk: OwnDisk
  readonly random: () => number
  readonly tier: TierConf
  /** For the statistics of the tier. */
  readonly tiers: { tried(name: 'gossip'): void; found(name: 'gossip', tookMs: Millis): void }
  identity(): Identity
  /** keyId of a member that is welcome and not in quarantine; undefined: there is none. */
  keyIdOf(hostId: number): string | undefined
  /** Public key of a member (SPKI, DER), as it announced it; undefined: it has announced nothing yet. */
  spkiOf(hostId: number): Buffer | undefined
  linked(): readonly number[]
  send(hostId: number, message: ControlMessage): boolean
  /** Executes a request on a container of this host. Never rejects. */
  run(request: LateRequest): Promise<LateAnswer>
}

/** As the API and the gateway's page show it. */
export interface MessagesStatus {
  /** Of this host's clients. */
  readonly waiting: number
  /** Kept for their hosts, own ones included. */
  readonly kept: number
  readonly keptBytes: number
}

export interface Submission {
  readonly to: number
  readonly request: Omit<LateRequest, 'id'>
  readonly target: string
  readonly host: string
}

const SWEEP_MS: Millis = 60_000
const NO_DISK = 'this host cannot keep it on disk; its log says why'

export class Messages implements Part {
  readonly #deps: MessagesDeps
  readonly #store: MessageStore
  readonly #own: OwnRequests
  readonly #spread: Spread
  /** Requests that containers of this host execute now. */
  readonly #running = new Map<
    string,
    { readonly from: number; readonly seq: number; readonly id: string; readonly isOver: Promise<void> }
  >()
  #isDraining = false
  #stopSweep = (): void => {}

  constructor(deps: MessagesDeps) {
    const { disk, identity, keyIdOf, metrics, ownDisk, scheduler } = deps
    this.#deps = deps
    this.#store = new MessageStore(disk)
    this.#own = new OwnRequests(ownDisk)
    const { cluster, hostId } = identity()
    this.#spread = new Spread({
      ...deps,
      hostId,
      store: this.#store,
      whyRefused: (envelope) =>
        whyRefused(envelope, { cluster, keyId: keyIdOf(envelope.from), now: scheduler.now() }),
      isTaken: ({ kind }) => kind === 'answer' || !this.#isDraining,
      arrived: (envelope) => this.#arrived(envelope),
      count: (what, reason) => this.#count(what, reason),
    })
    metrics.gauge(
      'flatnet_messages_kept',
      'Messages kept until they arrive or expire',
      () => this.#store.size,
    )
  }

  get #isOn(): boolean {
    return this.#deps.tier.enabled
  }

  #count(what: string, reason: string | undefined): void {
    const labels = { what, ...(reason !== undefined && { reason }) }
    this.#deps.metrics.count('flatnet_messages_total', 'Messages for hosts out of reach', labels)
  }

  get status(): MessagesStatus {
    const { bytes: keptBytes, size: kept } = this.#store
    return { waiting: this.#own.waiting().length, kept, keptBytes }
  }

  start(): void {
    const { random, scheduler } = this.#deps
    const sweep = (): void =>
      this.#onDisk(undefined, () => {
        this.#store.sweep(scheduler.now())
        this.#own.sweep(scheduler.now(), LIFE_MS)
      })
    sweep()
    this.#stopSweep = scheduler.every(SWEEP_MS, sweep, random)
    if (this.#isOn) this.#spread.start()
  }

  /** Begins no request any more: they wait on their carriers. @returns when none runs, after `ms` at the latest */
  async drain(ms: Millis): Promise<void> {
    this.#isDraining = true
    const { promise: isLate, resolve } = Promise.withResolvers<void>()
    const cancel = this.#deps.scheduler.after(ms, resolve)
    await Promise.race([isLate, Promise.all([...this.#running.values()].map(({ isOver }) => isOver))])
    cancel()
  }

  /** What still runs is answered now: the next run of this gateway knows nothing of it. */
  stop(): void {
    this.#stopSweep()
    for (const [key, { from, id, seq }] of this.#running) {
      this.#running.delete(key)
      const problem =
        'its gateway stopped before the container had answered; it may have executed the request'
      this.#onDisk(NO_DISK, () => this.#answer(from, seq, { id, problem }))
    }
    this.#spread.stop()
  }

  linkUp(hostId: number): void {
    if (this.#isOn) this.#spread.linkUp(hostId)
  }

  linkDown(hostId: number): void {
    this.#spread.linkDown(hostId)
  }

  receive(from: number, message: ControlMessage): void {
    if (this.#isOn) this.#onDisk(undefined, () => this.#spread.receive(from, message))
    else this.#count('refused', 'switched off')
  }

  waiting(): readonly OwnRequest[] {
    return this.#own.waiting()
  }

  request(id: string): OwnRequest | undefined {
    return this.#own.get(id)
  }

  /** @returns its id, once it is on disk here; or why it cannot be sent */
  submit(submission: Submission): { readonly id: string } | { readonly problem: string } {
    return this.#onDisk({ problem: NO_DISK }, () => this.#submit(submission))
  }

  #submit({ host, request, target, to }: Submission): { readonly id: string } | { readonly problem: string } {
    if (!this.#isOn) return { problem: switchedOff('gossip') }
    if (this.#own.isFull) return { problem: 'too many requests wait, or have had their answer within a day' }
    const id = randomBytes(16).toString('hex')
    const lifeMs = this.#deps.tier.timeoutMs
    const envelope = this.#write({ to, kind: 'request', plain: writeRequest({ id, ...request }), lifeMs })
    if ('problem' in envelope) return envelope
    const { at, expires, seq } = envelope
    // First, or a crash in between would leave an answer without its request.
    this.#own.put({ id, seq, to, method: request.method, target, host, at, expires })
    const problem = this.#onDisk(NO_DISK, () => this.#spread.post(envelope))
    if (problem === undefined) {
      this.#deps.tiers.tried('gossip')
      return { id }
    }
    this.#own.forget(id)
    return { problem }
  }

  #write(unsealed: Omit<Unsealed, 'toSpki'>): Envelope | { readonly problem: string } {
    const { identity, scheduler, spkiOf } = this.#deps
    const toSpki = spkiOf(unsealed.to)
    if (toSpki === undefined) return { problem: `the key of host ${unsealed.to} is not known here yet` }
    const { length } = unsealed.plain
    if (length > MAX_PLAIN_BYTES)
      return { problem: `it has ${length} bytes with its head, and a message ${MAX_PLAIN_BYTES} at most` }
    const me = identity()
    const now = Math.floor(scheduler.now())
    const seq = Math.max(this.#store.highest(me.hostId) + 1, now)
    return writeEnvelope(me, { ...unsealed, toSpki }, seq, now)
  }

  /** A disk that is full or read-only costs messages, and nothing else of the gateway. */
  #onDisk<T>(otherwise: T, task: () => T): T {
    try {
      return task()
    } catch (err) {
      this.#deps.log.error({ err }, 'messages could not be kept on disk')
      return otherwise
    }
  }

  #arrived(envelope: Envelope): void {
    const { identity, log } = this.#deps
    const plain = openEnvelope(identity(), envelope)
    if (plain === undefined) log.warn({ peer: envelope.from }, 'message of a member cannot be opened')
    else if (envelope.kind === 'request') void this.#execute(envelope, plain)
    else this.#takeAnswer(envelope, plain)
  }

  async #execute({ from, seq }: Envelope, plain: Buffer): Promise<void> {
    const { log, run } = this.#deps
    const request = readRequest(plain)
    if (request === undefined) {
      log.warn({ peer: from }, 'message of a member is no request')
      return
    }
    const key = keyOf({ from, seq })
    const { promise: isOver, resolve } = Promise.withResolvers<void>()
    this.#running.set(key, { from, seq, id: request.id, isOver })
    const answer = await run(request)
    resolve()
    if (!this.#running.delete(key)) return
    const problem = this.#onDisk(NO_DISK, () => this.#answer(from, seq, answer))
    const said = { peer: from, ...('problem' in answer && { reason: answer.problem }) }
    log.info(said, 'request that came as a message was executed')
    if (problem !== undefined)
      log.warn({ peer: from, reason: problem }, 'answer could not be sent as a message')
  }

  /** @returns why it was not sent; undefined: it is on its way */
  #answer(to: number, re: number, answer: LateAnswer): string | undefined {
    const unsealed = { to, kind: 'answer', re } as const
    const envelope = this.#write({ ...unsealed, plain: writeAnswer(answer) })
    if (!('problem' in envelope)) return this.#spread.post(envelope)
    const problem = `the answer cannot be sent: ${envelope.problem}`
    const instead = this.#write({ ...unsealed, plain: writeAnswer({ id: answer.id, problem }) })
    return 'problem' in instead ? instead.problem : this.#spread.post(instead)
  }

  #takeAnswer({ from }: Envelope, plain: Buffer): void {
    const { log } = this.#deps
    const answer = readAnswer(plain)
    const stored =
      answer === undefined || 'problem' in answer
        ? answer
        : { status: answer.status, headers: answer.headers, body: answer.body.toString('base64') }
    if (answer === undefined || stored === undefined)
      log.warn({ peer: from }, 'message of a member is no answer')
    else this.#answered(from, answer.id, stored)
  }

  #answered(from: number, id: string, stored: StoredAnswer): void {
    const { scheduler, tiers } = this.#deps
    const now = scheduler.now()
    const asked = this.#own.get(id)
    if (!this.#own.answered(from, id, stored, now + LIFE_MS) || asked === undefined) return
    tiers.found('gossip', Math.max(0, now - asked.at))
  }
}
