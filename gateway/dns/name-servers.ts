/** Serves names on the bridge address of each network of this host, and follows bridges that come and go. */

import type { DnsConf } from '../../conf/dns.ts'
import { contains, formatIpv4, type Prefix4, parseIpv4 } from '../../core/addr.ts'
import { hasCode } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { NamesAnnouncement } from '../../core/names-file.ts'
import { CoalescedTask } from '../base/coalesced-task.ts'
import type { Events } from '../base/events.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Part } from '../base/part.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { announceNames } from './announcement.ts'
import { type DnsServer, HostServers } from './host-servers.ts'
import { KeptDnsListeners } from './kept-listeners.ts'
import type { DnsListener, DnsListenerDeps } from './listener.ts'
import { Resolver, type ResolverDeps } from './resolver.ts'
import { openTcp } from './tcp-listener.ts'
import { openUdp } from './udp-listener.ts'

export interface NamedNetwork {
  readonly network: string
  readonly bridge: string
  /** This host's part; its first address is the bridge's. */
  readonly slice: Prefix4
  /** What was set for this network as its upstreams. */
  readonly nameservers?: readonly string[] | undefined
}

/** `waiting`: the bridge is not there yet. */
type DnsState = 'serving' | 'waiting' | 'failed'

export interface DnsStatus {
  readonly domain: string
  readonly networks: readonly {
    readonly network: string
    readonly address: string
    readonly state: DnsState
    /** null: none. */
    readonly problem: string | null
  }[]
}

export interface NameServersDeps {
  readonly conf: { readonly dns: DnsConf; readonly dataDir: string; readonly hostId: number }
  readonly zone: ResolverDeps['zone']
  readonly events: Events
  readonly metrics: Metrics
  readonly scheduler: Scheduler
  readonly log: Log
  /** The networks of this host that have containers, or had. */
  networks(): readonly NamedNetwork[]
  /** Lets containers of these bridges reach these addresses, and no others, by port 53. */
  openPorts(places: readonly { readonly bridge: string; readonly address: string }[]): void
  /** 53, but in tests without root. */
  readonly port?: number
  /** Hands the sockets over to the next run. Absent: there is none. */
  readonly keptDnsListeners?: KeptDnsListeners
}

interface Served {
  readonly network: NamedNetwork
  readonly listeners: readonly DnsListener[]
  readonly state: DnsState
  readonly problem?: string
}

const PORT = 53
const RETRY_MS = 1_000

export class NameServers implements Part {
  readonly #deps: NameServersDeps
  readonly #resolver: Resolver
  readonly #hostServers: HostServers
  readonly #kept: KeptDnsListeners
  /** By bridge address. */
  #served = new Map<string, Served>()
  readonly #runs = new CoalescedTask(() => this.#compare())
  #announced = ''
  readonly #ends: (() => void)[] = []

  constructor(deps: NameServersDeps) {
    this.#deps = deps
    this.#kept = deps.keptDnsListeners ?? new KeptDnsListeners({ isOver: true })
    this.#resolver = new Resolver(deps)
    this.#hostServers = new HostServers({
      clock: deps.scheduler,
      isOwn: (address) => this.#served.has(address),
    })
  }

  /** null: switched off. */
  get status(): DnsStatus | null {
    const { dns } = this.#deps.conf
    if (!dns.enabled) return null
    const networks = [...this.#served].map(([address, { network, state, problem = null }]) => ({
      network: network.network,
      address,
      state,
      problem,
    }))
    return { domain: dns.domain, networks }
  }

  async start(): Promise<void> {
    const { conf, events, metrics, scheduler } = this.#deps
    if (!conf.dns.enabled) {
      // Closes what a run with names left open: port 53 may be another server's now.
      this.#openPorts()
      await this.#kept.closeRest()
      return announceNames(conf.dataDir, undefined)
    }
    metrics.gauge(
      'flatnet_dns_waiting',
      'Questions that wait for other servers',
      () => this.#resolver.waiting,
    )
    this.#ends.push(
      events.listen(({ event }) => {
        const isOwn = event.type === 'assignmentAdded' && event.assignment.hostId === conf.hostId
        // A container of a network that is new, or whose bridge or servers are.
        if (isOwn) void this.refresh()
      }),
      scheduler.every(RETRY_MS, () => {
        if ([...this.#served.values()].some(({ state }) => state !== 'serving')) void this.refresh()
      }),
    )
    await this.refresh()
    await this.#kept.closeRest()
  }

  /** What is asked until the next run takes over is answered by this one. */
  async stop(): Promise<void> {
    for (const end of this.#ends) end()
    await this.#runs.stop()
    const serving = [...this.#served].filter(([, { state }]) => state === 'serving')
    await this.#kept.keep(
      new Map(serving.map(([address, { listeners }]) => [address, listeners])),
      this.#resolver,
    )
  }

  /** Compares with the networks of this host. */
  refresh(): Promise<void> {
    return this.#runs.run()
  }

  /** Puts back into nftables what a firewall took away. */
  restore(): void {
    if (this.#served.size > 0) this.#openPorts()
  }

  #openPorts(): void {
    const serving = [...this.#served].filter(([, { state }]) => state === 'serving')
    try {
      this.#deps.openPorts(serving.map(([address, { network }]) => ({ address, bridge: network.bridge })))
    } catch (err) {
      this.#deps.log.error({ err }, 'containers could not be given a way to the names')
    }
  }

  async #compare(): Promise<void> {
    try {
      await this.#follow()
    } catch (err) {
      this.#deps.log.error({ err }, 'names could not be served')
    }
  }

  async #follow(): Promise<void> {
    const wanted = new Map(this.#deps.networks().map((n) => [formatIpv4(n.slice.base + 1), n]))
    const before = this.#served
    const now = new Map<string, Served>()
    for (const [address, { listeners }] of before)
      if (!wanted.has(address)) await Promise.all(listeners.map((listener) => listener.close()))
    for (const [address, network] of wanted) {
      const known = before.get(address)
      if (known?.state === 'serving') now.set(address, { ...known, network })
      else now.set(address, await this.#open(address, network, known))
    }
    this.#served = now
    this.#announce(now)
    // Also unchanged: the first ADD after a flush has loaded a table without our elements.
    if (now.size > 0 || before.size > 0) this.#openPorts()
  }

  async #open(address: string, network: NamedNetwork, before: Served | undefined): Promise<Served> {
    const deps = this.#listenerDeps(address, network)
    const kept = this.#kept.take(address)
    for (const listener of kept ?? []) listener.handOver(deps)
    if (kept !== undefined) return { network, listeners: kept, state: 'serving' }
    const listeners: DnsListener[] = []
    try {
      for (const open of [openUdp, openTcp]) listeners.push(await open(deps))
    } catch (err) {
      await Promise.all(listeners.map((listener) => listener.close()))
      if (hasCode(err, 'EADDRNOTAVAIL')) return { network, listeners: [], state: 'waiting' }
      const problem = problemOf(err, deps)
      if (before?.problem !== problem)
        this.#deps.log.warn({ err, endpoint: `${address}:${deps.port}` }, 'names are not served on a bridge')
      return { network, listeners: [], state: 'failed', problem }
    }
    this.#deps.log.info({ endpoint: `${address}:${deps.port}` }, 'names are served on a bridge')
    return { network, listeners, state: 'serving' }
  }

  #listenerDeps(address: string, { slice }: NamedNetwork): DnsListenerDeps {
    const { log, metrics, port = PORT, scheduler } = this.#deps
    return {
      address,
      port,
      isClient(client) {
        const ip = parseIpv4(client)
        return ip !== undefined && contains(slice, ip)
      },
      resolve: (asked, reply) =>
        this.#resolver.resolve({ ...asked, servers: () => this.#upstreams(address) }, reply),
      now: () => scheduler.monotonic(),
      dropped: (why) =>
        metrics.count('flatnet_dns_dropped_total', 'Questions that were dropped unread, and answers unsent', {
          why,
        }),
      failed: (err) => log.error({ err, endpoint: `${address}:${port}` }, 'listener for names failed'),
    }
  }

  /** The network's own servers first: they were set for it alone. */
  async #upstreams(address: string): Promise<readonly DnsServer[]> {
    const own = this.#served.get(address)?.network.nameservers ?? []
    const { servers } = this.#deps.conf.dns
    if (own.length === 0 && servers.length === 0) return this.#hostServers.current()
    const given = own.length > 0 ? own.map((host) => ({ host, port: 53 })) : servers
    return given.filter(({ host }) => !this.#served.has(host))
  }

  /** The plugin tells containers of a server only where there can be one. */
  #announce(served: ReadonlyMap<string, Served>): void {
    const { conf, log } = this.#deps
    const taken = [...served].filter(([, { state }]) => state === 'failed').map(([address]) => address)
    const announcement: NamesAnnouncement = { domain: conf.dns.domain, taken }
    const text = JSON.stringify(announcement)
    if (text === this.#announced) return
    try {
      announceNames(conf.dataDir, announcement)
      this.#announced = text
    } catch (err) {
      log.error({ err }, 'the plugin could not be told of the names')
    }
  }
}

function problemOf(err: unknown, { address, port }: DnsListenerDeps): string {
  const where = `${address}:${port}`
  if (hasCode(err, 'EADDRINUSE'))
    return (
      `another DNS server listens on ${where}, maybe on all addresses (ss -lnp sport = :${port} names it): ` +
      'have it listen on its own addresses only, or set dns.enabled: false'
    )
  if (hasCode(err, 'EACCES')) return `port ${port} needs root or CAP_NET_BIND_SERVICE`
  return `${where} cannot be opened: ${err instanceof Error ? err.message : String(err)}`
}
