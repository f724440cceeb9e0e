/** Gathers the facts about every host, has the path decided, and puts the decision into effect. */

import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import { jittered, type Scheduler } from '../base/scheduler.ts'
import type { ControlMessage, LinkState, LinkView } from '../links/types.ts'
import { type LinkFacts, type PathDecision, SOON_MS, sameVia, type Via, viaText } from './decide.ts'
import { type LinkReport, Reports } from './reports.ts'
import { Steadiness } from './steadiness.ts'
import type { PathTable } from './table.ts'

/** What a decision does to the kernel and the tunnel; implemented by the glue over them. Must not throw. */
export interface PathEffects {
  /** Packets for the host go this way from now on. Called again with another way; the old one may stay until then. */
  setRoute(hostId: number, via: Extract<Via, { kind: 'gateway' | 'relay' }>): void
  /** There is no way for packets. */
  clearRoute(hostId: number): void
}

export interface PathDeps {
  readonly hostId: number
  readonly scheduler: Scheduler
  readonly random: () => number
  readonly log: Log
  readonly table: PathTable
  readonly effects: PathEffects
  /** All links, one for each member. */
  links(): readonly LinkView[]
  /** Why a host is kept out. */
  quarantineOf(hostId: number): string | undefined
  /** Why packets cannot be carried on this host; undefined when they can. */
  noTunnel(): string | undefined
  /** Pairs for which this gateway would still be a relay. */
  freePairs(): number
  /** How a relay refused or failed for a host of late; undefined: it is usable. */
  relayProblem(hostId: number, relay: number): string | undefined
  /** Whether a connection that carries packets to the host stands, straight or through a relay. */
  hasChannel(hostId: number): boolean
  /** Round trip by the connection through a relay, from end to end; undefined: not measured. */
  channelRttMs(hostId: number, relay: number): Millis | undefined
  send(hostId: number, message: ControlMessage): boolean
  /** The peer has said that it is about to stop. */
  draining(hostId: number): void
  /** A path was decided anew, e.g. a relay to a host came or went. */
  changed?(hostId: number): void
}

/** Ages of links and reports count in the decision, so it is made again without any event. */
const TICK_MS: Millis = 1_000
const REPORT_MS: Millis = 5_000
/** Links come up by the hundred after a start; peers get one report for all. */
const REPORT_SOON_MS: Millis = 100
/** Whoever has not been measured yet is used all the same, behind all others. */
const UNMEASURED_MS: Millis = 1_000

const DRAIN = 'paths.drain'

export class PathController {
  readonly #deps: PathDeps
  readonly #reports = new Reports()
  readonly #routed = new Map<number, Via>()
  /** Monotonic, unlike `since` of a link: a wall clock that is put right must not make a link new. */
  readonly #states = new Map<
    number,
    { readonly state: LinkState; readonly at: Millis; readonly hasStopped: boolean }
  >()
  readonly #steadiness = new Map<number, Steadiness>()
  readonly #startedAt: Millis
  readonly #cancels = new Map<string, () => void>()
  /** Of this host's tunnel, in the last report. */
  #told: string | undefined
  #isStopped = false

  constructor(deps: PathDeps) {
    this.#deps = deps
    this.#startedAt = deps.scheduler.monotonic()
  }

  start(): void {
    this.#repeat('tick', TICK_MS, () => this.evaluateAll())
    this.#repeat('report', REPORT_MS, () => this.#report())
    this.#evaluateLater()
    this.evaluateAll()
  }

  stop(): void {
    this.#isStopped = true
    for (const cancel of this.#cancels.values()) cancel()
  }

  /** This gateway is about to stop: whoever goes through it as a relay finds another first. */
  drain(): void {
    for (const { hostId } of this.#deps.links()) this.#deps.send(hostId, { type: DRAIN })
  }

  /** A link, its data connection or a quarantine changed. */
  linkChanged(hostId: number): void {
    const link = this.#deps.links().find((l) => l.hostId === hostId)
    if (link === undefined || link.state === 'down') this.#reports.forget(hostId)
    this.evaluateAll()
    this.#evaluateLater()
    this.#reportSoon()
  }

  /** When what comes soon has not come. */
  #evaluateLater(): void {
    if (this.#isStopped || this.#cancels.has('soon to come')) return
    const cancel = this.#deps.scheduler.after(SOON_MS, () => {
      this.#cancels.delete('soon to come')
      this.evaluateAll()
    })
    this.#cancels.set('soon to come', cancel)
  }

  #reportSoon(): void {
    if (this.#isStopped || this.#cancels.has('soon')) return
    const cancel = this.#deps.scheduler.after(REPORT_SOON_MS, () => {
      this.#cancels.delete('soon')
      this.#report()
    })
    this.#cancels.set('soon', cancel)
  }

  /** A message of a peer whose type begins with `paths.`. */
  receive(hostId: number, message: ControlMessage): void {
    if (this.#isStopped) return
    if (message.type === DRAIN) {
      this.#deps.draining(hostId)
      this.evaluateAll()
    } else if (
      message.type === 'paths.links' &&
      this.#reports.handle(hostId, message, this.#deps.scheduler.monotonic())
    ) {
      this.evaluateAll()
    } else this.#deps.log.debug({ peer: hostId }, 'report of links was not understood')
  }

  /** Whether packets get to the host, directly or over a relay. */
  isReached(hostId: number): boolean {
    return this.#deps.table.decision(hostId)?.state === 'GATEWAY_ONLY'
  }

  evaluateAll(): void {
    const { links, table, noTunnel, hostId: own } = this.#deps
    if (noTunnel() !== this.#told) this.#reportSoon()
    const views = new Map(links().map((l) => [l.hostId, l]))
    for (const view of views.values()) this.#evaluate(view, views)
    for (const { hostId } of table.all()) {
      if (hostId === own || views.has(hostId)) continue
      table.forget(hostId)
      this.#states.delete(hostId)
      this.#steadiness.delete(hostId)
      this.#apply(hostId, undefined)
    }
  }

  #evaluate(view: LinkView, views: ReadonlyMap<number, LinkView>): void {
    const {
      hasChannel,
      hostId,
      channelRttMs,
      scheduler,
      relayProblem,
      noTunnel,
      quarantineOf,
      table,
      changed,
      log,
    } = this.#deps
    const before = table.decision(view.hostId)
    const isDirect = before?.via.kind === 'gateway' && carries(view)
    const decision = table.update({
      ownHostId: hostId,
      hostId: view.hostId,
      quarantine: quarantineOf(view.hostId),
      link: { ...view, ...this.#historyOf(view) },
      noTunnel: noTunnel(),
      peerNoTunnel: this.#reports.noTunnelOf(view.hostId),
      hasChannel: hasChannel(view.hostId),
      channelRttMs: before?.via.kind === 'relay' ? channelRttMs(view.hostId, before.via.hostId) : undefined,
      // Nobody needs a relay while the direct way stands: with 254 hosts this is most of the work.
      relays: isDirect
        ? []
        : this.#reports
            .candidates(view.hostId, scheduler.monotonic(), (relay) => rttOf(views.get(relay)))
            .map((relay) => ({ ...relay, problem: relayProblem(view.hostId, relay.hostId) })),
    })
    this.#apply(view.hostId, decision)
    if (before !== undefined && before.state === decision.state && sameVia(before.via, decision.via)) return
    const { state, reason, via } = decision
    log.info({ peer: view.hostId, path: `${state} ${viaText(via)}`, reason }, 'path changed')
    changed?.(view.hostId)
  }

  #historyOf({
    hostId,
    state,
    hasData,
  }: LinkView): Required<Pick<LinkFacts, 'forMs' | 'dataForMs' | 'settlesMs' | 'hasStopped'>> {
    const now = this.#deps.scheduler.monotonic()
    let known = this.#states.get(hostId)
    if (known?.state !== state) {
      known = { state, at: now, hasStopped: state === 'down' && known?.state === 'draining' }
      this.#states.set(hostId, known)
    }
    const steadiness = this.#steadiness.get(hostId) ?? new Steadiness(now)
    this.#steadiness.set(hostId, steadiness)
    steadiness.see(hasData, state === 'draining' || known.hasStopped, now)
    return {
      forMs: now - known.at,
      dataForMs: steadiness.forMs(now),
      settlesMs: steadiness.settlesMs,
      hasStopped: known.hasStopped,
    }
  }

  #apply(hostId: number, decision: PathDecision | undefined): void {
    const { effects } = this.#deps
    const before = this.#routed.get(hostId)
    const via = decision?.via
    const isRoutable = via?.kind === 'gateway' || via?.kind === 'relay'
    if (isRoutable && decision?.isWebOnly !== true) {
      if (before !== undefined && sameVia(before, via)) return
      this.#routed.set(hostId, via)
      effects.setRoute(hostId, via)
    } else if (before !== undefined) {
      this.#routed.delete(hostId)
      effects.clearRoute(hostId)
    }
  }

  #report(): void {
    const { freePairs, links, noTunnel, scheduler, send } = this.#deps
    const up = links().filter((l) => l.state === 'up')
    const lack = noTunnel()
    const canRelay = lack === undefined
    this.#told = lack
    const report: LinkReport = {
      type: 'paths.links',
      links: canRelay ? up.filter(carries).map((l) => [l.hostId, rttOf(l) ?? UNMEASURED_MS]) : [],
      freePairs: canRelay ? freePairs() : 0,
      uptimeMs: Math.round(scheduler.monotonic() - this.#startedAt),
      ...(lack !== undefined && { noTunnel: lack }),
    }
    for (const { hostId } of up) send(hostId, report)
  }

  #repeat(name: string, everyMs: Millis, task: () => void): void {
    const { random, scheduler } = this.#deps
    const next = (): void => {
      const cancel = scheduler.after(jittered(everyMs, random()), () => {
        if (this.#isStopped) return
        task()
        next()
      })
      this.#cancels.set(name, cancel)
    }
    next()
  }
}

/** A draining peer is about to stop: it is no relay for anybody. */
const carries = (view: LinkView): boolean => view.state === 'up' && view.hasData

const rttOf = (view: LinkView | undefined): Millis | undefined =>
  view !== undefined && carries(view) ? (view.rttMs ?? UNMEASURED_MS) : undefined
