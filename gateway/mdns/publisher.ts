/** Publishes names of this host's containers on its LANs, and follows containers and links that come and go. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { LanChanges, LanLink } from '../../kernel/lan.ts'
import { CoalescedTask } from '../base/coalesced-task.ts'
import type { Events } from '../base/events.ts'
import { LogLimiter } from '../base/log-limit.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Part } from '../base/part.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { KeptLinks, type LinkWatch } from './kept-links.ts'
import { Link, type LinkDeps } from './link.ts'
import type { PublishedNames } from './published-names.ts'
import { type MdnsStatus, mdnsStatus } from './status.ts'

export interface PublisherDeps {
  readonly conf: Pick<DaemonConf, 'mdns' | 'ingress'>
  readonly events: Pick<Events, 'listen'>
  readonly metrics: Metrics
  readonly scheduler: Scheduler
  readonly log: Log
  names(): PublishedNames
  watch(): LinkWatch
  readonly open: LinkDeps['open']
  /** Keeps links from one run of the gateway to the next; absent: there is no next run. */
  readonly keptLinks?: KeptLinks
}

/** The kernel is asked for news this often, by one read that finds nothing as a rule. */
const WATCH_MS = 1_000
/**
 * Links that were refused are tried again, and names compared, as another host's claim on one ends without an event.
 */
const AGAIN_MS = 5_000
/** Many containers that start together are one change. */
const SETTLE_MS = 50
/**
 * By so much the wall clock runs ahead in a second where the host slept; where it was set, names are probed for in
 * vain.
 */
const SLEPT_MS = 5_000
/** What is said once is not said again for 10 minutes. */
const SAID_MS = 600_000
const NO_CHANGES: LanChanges = { hasChanged: false, interrupted: new Set() }
const EVENTS: readonly string[] = ['assignmentAdded', 'assignmentChanged', 'assignmentRemoved', 'hostChanged']

export class MdnsPublisher implements Part {
  readonly #deps: PublisherDeps
  readonly #kept: KeptLinks
  /** By interface, address and network. */
  readonly #links = new Map<string, Link>()
  readonly #said = new LogLimiter(SAID_MS)
  readonly #ends: (() => void)[] = []
  #watch: LinkWatch | undefined
  #own: ReadonlySet<string> = new Set()
  #names: PublishedNames = { names: new Set(), isCut: false }
  #problem: string | undefined
  readonly #runs = new CoalescedTask(() => this.#compare())
  #isStopped = false
  #isSettling = false
  #wallAhead: Millis | undefined

  constructor(deps: PublisherDeps) {
    this.#deps = deps
    this.#kept = deps.keptLinks ?? new KeptLinks({ isOver: true })
  }

  /** null: switched off. */
  get status(): MdnsStatus | null {
    if (!this.#deps.conf.mdns.enabled) return null
    return mdnsStatus([...this.#links.values()], this.#names, this.#problem)
  }

  /** Does not throw: names on the LAN are an extra. */
  async start(): Promise<void> {
    const { conf, events, metrics, scheduler } = this.#deps
    if (conf.mdns.enabled && !conf.ingress.enabled)
      this.#problem = 'ingress is off, so names would lead nowhere: set ingress.enabled: true'
    if (!conf.mdns.enabled || !conf.ingress.enabled) return this.#kept.closeRest()
    metrics.gauge(
      'flatnet_mdns_names',
      'Names that are published on the LAN',
      () => this.status?.published ?? 0,
    )
    this.#ends.push(
      events.listen(({ event }) => {
        if (EVENTS.includes(event.type)) this.#settle()
      }),
      scheduler.every(WATCH_MS, () => this.#look()),
      scheduler.every(AGAIN_MS, () => void this.refresh()),
    )
    await this.refresh()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const end of this.#ends) end()
    await this.#runs.stop()
    await this.#kept.keep(this.#links, this.#watch)
  }

  /** Compares with the links of this host. */
  refresh(): Promise<void> {
    return this.#runs.run()
  }

  async #compare(): Promise<void> {
    try {
      await this.#follow()
      this.#problem = undefined
    } catch (err) {
      this.#failed(err)
    }
  }

  #failed(err: unknown): void {
    const text = err instanceof Error ? err.message : String(err)
    this.#problem = `the interfaces of this host could not be read: ${text}`
    if (this.#isDue(text)) this.#deps.log.warn({ err }, 'interfaces could not be read for local names')
  }

  #isDue(text: string): boolean {
    return this.#said.isDue(text, this.#deps.scheduler.monotonic())
  }

  #look(): void {
    try {
      this.#restart(this.#hasSlept() ? 'all' : new Set())
      const { hasChanged, interrupted } = this.#watch?.changes() ?? NO_CHANGES
      this.#restart(interrupted)
      if (hasChanged) void this.refresh()
    } catch (err) {
      this.#failed(err)
    }
  }

  /** A host that slept may have been carried elsewhere. The monotonic clock stands still meanwhile. */
  #hasSlept(): boolean {
    const { scheduler } = this.#deps
    const ahead = scheduler.now() - scheduler.monotonic()
    const before = this.#wallAhead ?? ahead
    this.#wallAhead = ahead
    return ahead - before > SLEPT_MS
  }

  #restart(interrupted: LanChanges['interrupted']): void {
    for (const { lan, names } of this.#links.values())
      if (interrupted === 'all' || interrupted.has(lan.index)) names.restart()
  }

  #settle(): void {
    if (this.#isSettling) return
    this.#isSettling = true
    this.#deps.scheduler.after(SETTLE_MS, () => {
      this.#isSettling = false
      if (!this.#isStopped) this.#publish()
    })
  }

  #publish(): void {
    this.#names = this.#deps.names()
    for (const link of this.#links.values()) if (link.isOpen) link.names.setNames(this.#names.names)
  }

  async #follow(): Promise<void> {
    this.#watch ??= this.#kept.takeWatch() ?? this.#deps.watch()
    const lan = this.#watch.links()
    this.#own = new Set(lan.flatMap(({ addresses }) => addresses))
    const wanted = new Map(lan.flatMap((link) => this.#wanted(link)).map((link) => [keyOf(link), link]))
    for (const [key, link] of this.#links) {
      if (wanted.has(key)) continue
      this.#links.delete(key)
      await link.close()
    }
    for (const [key, link] of wanted) if (!this.#links.has(key)) this.#links.set(key, this.#link(key, link))
    await this.#kept.closeRest()
    for (const link of this.#links.values()) if (!link.isOpen) await link.open()
    this.#publish()
  }

  /** A link that ingress listens on, with the address that leads to it. */
  #wanted(link: LanLink): LanLink[] {
    const { host } = this.#deps.conf.ingress
    if (host === '0.0.0.0' || host === '::') return [link]
    return link.addresses.includes(host) ? [{ ...link, address: host }] : []
  }

  /** That of the run before, or a new one. */
  #link(key: string, lan: LanLink): Link {
    const deps: LinkDeps = {
      ...this.#deps,
      isOwn: (address) => this.#own.has(address),
      taken: (name, by, ifname) => this.#taken(name, by, ifname),
    }
    const kept = this.#kept.take(key)
    kept?.handOver(deps)
    return kept ?? new Link(lan, deps)
  }

  #taken(name: string, by: string, ifname: string): void {
    const { log, metrics } = this.#deps
    metrics.count('flatnet_mdns_conflicts_total', 'Names that another host of the LAN turned out to have')
    // Without the sender: one LAN may have any number of them.
    if (this.#isDue(`${ifname} ${name}`))
      log.warn({ name, ifname, endpoint: by }, 'local name is not published, as another host has it')
  }
}

const keyOf = ({ address, ifname, index, prefixLen }: LanLink): string =>
  `${index} ${ifname} ${address}/${prefixLen}`
