/** Gathers the facts about every host, has its path decided, and puts the decision into effect. */

import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { ControlMessage, LinkView } from '../links/types.ts'
import { type PathDecision, SOON_MS } from './decide.ts'
import { LinkHistory } from './link-history.ts'
import { carries, type LinkReport, type Reports, relayReport, UNMEASURED_MS } from './reports.ts'
import type { PathTable } from './table.ts'
import type { Tiers } from './tiers.ts'
import { type Candidate, type Carriage, sameVia, type Transport, type Via, viaText } from './transport.ts'

export interface PathDeps {
  readonly hostId: number
  readonly scheduler: Scheduler
  readonly random: () => number
  readonly log: Log
  readonly table: PathTable
  readonly reports: Reports
  readonly tiers: Tiers
  readonly transports: readonly Transport[]
  readonly carriage: Carriage
  /** Whether this host carries letters about UDP paths. */
  readonly carriesLetters: boolean
  /** All links, one for each member. */
  links(): readonly LinkView[]
  /** Why a host is kept out. */
  quarantineOf(hostId: number): string | undefined
  send(hostId: number, message: ControlMessage): boolean
  /** The peer has said that it is about to stop. */
  draining(hostId: number): void
  /** A path was decided anew, e.g. a relay to a host came or went. */
  changed?(hostId: number): void
}

/** Ages of links and reports count in the decision, so it is made again without any event. */
const TICK_MS: Millis = 1_000
const REPORT_MS: Millis = 5_000
/** Links come up by the hundred after a start; peers get one report of them. */
const REPORT_SOON_MS: Millis = 100

const DRAIN = 'paths.drain'

/** Which candidate of each transport is used, by its key. */
type Used = ReadonlyMap<Transport, string>

export class PathController {
  readonly #deps: PathDeps
  readonly #used = new Map<number, Used>()
  readonly #history = new LinkHistory()
  readonly #startedAt: Millis
  readonly #stops: (() => void)[]
  /** Of what is to run once, by its name. */
  readonly #cancels = new Map<string, () => void>()
  /** Why this host carries no packets, as the last report said. */
  #reported: string | undefined
  #isStopped = false

  constructor(deps: PathDeps) {
    this.#deps = deps
    this.#startedAt = deps.scheduler.monotonic()
    this.#stops = deps.transports.map((transport) =>
      transport.onChange((hostId) =>
        transport.kind === 'gateway' ? this.linkChanged(hostId) : this.evaluateAll(),
      ),
    )
  }

  start(): void {
    const { random, scheduler } = this.#deps
    this.#stops.push(
      scheduler.every(TICK_MS, () => this.evaluateAll(), random),
      scheduler.every(REPORT_MS, () => this.#report(), random),
    )
    this.#evaluateLater()
    this.evaluateAll()
  }

  stop(): void {
    this.#isStopped = true
    for (const stop of this.#stops) stop()
    for (const cancel of this.#cancels.values()) cancel()
  }

  /** This gateway is about to stop: hosts that it relays for find another relay first. */
  drain(): void {
    for (const { hostId } of this.#deps.links()) this.#deps.send(hostId, { type: DRAIN })
  }

  /** A link, its data connection or a quarantine changed. */
  linkChanged(hostId: number): void {
    const link = this.#deps.links().find((l) => l.hostId === hostId)
    if (link === undefined || link.state === 'down') this.#deps.reports.forget(hostId)
    this.evaluateAll()
    this.#evaluateLater()
    this.#reportSoon()
  }

  /** A message of a peer whose type begins with `paths.`. */
  receive(hostId: number, message: ControlMessage): void {
    const { draining, log, reports, scheduler } = this.#deps
    if (this.#isStopped) return
    if (message.type === DRAIN) {
      draining(hostId)
      this.evaluateAll()
    } else if (message.type === 'paths.links' && reports.handle(hostId, message, scheduler.monotonic())) {
      this.evaluateAll()
    } else log.debug({ peer: hostId }, 'report of links was not understood')
  }

  evaluateAll(): void {
    const { carriage, hostId: own, links, table } = this.#deps
    if (carriage.noTunnel() !== this.#reported) this.#reportSoon()
    const views = links()
    for (const view of views) this.#evaluate(view)
    const known = new Set(views.map((v) => v.hostId))
    for (const { hostId } of table.all()) {
      if (hostId === own || known.has(hostId)) continue
      table.forget(hostId)
      this.#history.forget(hostId)
      this.#deps.tiers.forget(hostId)
      this.#apply(hostId, undefined, [])
    }
  }

  #evaluate(view: LinkView): void {
    const { carriage, changed, hostId: ownHostId, log, quarantineOf, reports, scheduler, table } = this.#deps
    const { hostId } = view
    const before = table.decision(hostId)
    const candidates = this.#candidatesFor(view, before)
    const decision = table.update({
      ownHostId,
      hostId,
      quarantine: quarantineOf(hostId),
      link: this.#history.see(view, scheduler.monotonic()),
      noTunnel: carriage.noTunnel(),
      peerNoTunnel: reports.noTunnelOf(hostId),
      candidates,
    })
    this.#apply(hostId, decision, candidates)
    this.#deps.tiers.see(hostId, candidates, decision, scheduler.monotonic())
    if (before !== undefined && before.state === decision.state && sameVia(before.via, decision.via)) return
    const { state, reason, via } = decision
    log.info({ peer: hostId, path: `${state} ${viaText(via)}`, reason }, 'path changed')
    changed?.(hostId)
  }

  /** No relay is needed while the direct way stands: with 254 hosts gathering them is most of the work. */
  #candidatesFor(view: LinkView, before: PathDecision | undefined): Candidate[] {
    const isDirect = (before?.below ?? before)?.via.kind === 'gateway' && carries(view)
    return this.#deps.transports.flatMap((transport) =>
      isDirect && transport.kind === 'relay' ? [] : transport.candidates(view.hostId),
    )
  }

  /** The transport that takes over goes first, so that packets have a way at every moment. */
  #apply(hostId: number, decision: PathDecision | undefined, candidates: readonly Candidate[]): void {
    const ways = decision === undefined || decision.isWebOnly === true ? [] : waysOf(decision)
    const wanted = candidates.filter(({ id }) => ways.some((via) => sameVia(via, id)))
    const before = this.#used.get(hostId)
    const used = new Map<Transport, string>()
    for (const transport of this.#deps.transports) {
      const candidate = wanted.find(({ id }) => id.kind === transport.kind)
      if (candidate === undefined) continue
      const key = viaText(candidate.id)
      used.set(transport, key)
      if (before?.get(transport) !== key) transport.use(hostId, candidate)
    }
    for (const transport of before?.keys() ?? []) if (!used.has(transport)) transport.use(hostId, undefined)
    if (used.size > 0) this.#used.set(hostId, used)
    else this.#used.delete(hostId)
  }

  /** When what comes soon has not come. */
  #evaluateLater(): void {
    this.#once('soon to come', SOON_MS, () => this.evaluateAll())
  }

  #reportSoon(): void {
    this.#once('soon', REPORT_SOON_MS, () => this.#report())
  }

  #report(): void {
    const { carriage, carriesLetters, links, scheduler, send } = this.#deps
    const up = links().filter((l) => l.state === 'up')
    const lack = carriage.noTunnel()
    const canRelay = lack === undefined
    this.#reported = lack
    const report: LinkReport = {
      type: 'paths.links',
      links: canRelay ? up.filter(carries).map((l) => [l.hostId, l.rttMs ?? UNMEASURED_MS]) : [],
      ...relayReport(canRelay ? carriage.relayCapacity() : { freePairs: 0, freeShare: 0 }),
      uptimeMs: Math.round(scheduler.monotonic() - this.#startedAt),
      ...(lack !== undefined && { noTunnel: lack }),
      letters: carriesLetters,
    }
    for (const { hostId } of up) send(hostId, report)
  }

  #once(name: string, delayMs: Millis, task: () => void): void {
    if (this.#isStopped || this.#cancels.has(name)) return
    const cancel = this.#deps.scheduler.after(delayMs, () => {
      this.#cancels.delete(name)
      task()
    })
    this.#cancels.set(name, cancel)
  }
}

/** With UDP, the path below stays as it is: the kernel falls back on its route by itself. */
const waysOf = ({ via, below }: PathDecision): Via[] => (below === undefined ? [via] : [via, below.via])
