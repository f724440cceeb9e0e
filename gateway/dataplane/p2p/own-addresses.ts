/** Knows where this host may be reached by UDP, and has the P2P process ask those that can tell. */

import type { Prefix4 } from '../../../core/addr.ts'
import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { UdpOutside } from '../../paths/escalation/types.ts'
import { ObservedAddresses, ownCandidates } from './candidates.ts'
import { isPublic, mayBeHost } from './endpoints.ts'
import { type FromProcess, MAX_STUN_SERVERS, type ToProcess } from './protocol.ts'

/**
 * While a mapping is needed for a try. Of home routers some forget one after 30 s without packets (RFC 4787 wants
 * 2 minutes), and other systems refresh within 27 s.
 */
const KEEP_EVERY_MS: Millis = 25_000
/** Else only to notice a change that no interface shows, such as a router's new address. */
const LOOK_EVERY_MS: Millis = 300_000
/** By then a request was sent four times, 0.5, 1 and 2 s apart, and the last one had 4 s. */
const SILENT_AFTER_MS: Millis = 7_500
/** A name may lead to other addresses. */
const RESOLVE_EVERY_MS: Millis = 300_000
/** Enough to find a NAT's mapping by, and few enough for a hub of 253 hosts. The rest are for `paths.stun`. */
const MAX_MEMBERS = 8

export interface OwnAddressesDeps {
  readonly overlay: Prefix4
  readonly scheduler: Scheduler
  readonly log: Log
  /** `name:port` or `address:port`, as configured. */
  readonly stun: readonly string[]
  /** @returns `address:port`, of each address of the name */
  resolve(server: string): Promise<readonly string[]>
  /** `address:port` at which other members answer STUN, one of each family of a member at most. */
  members(): readonly string[]
  /** `host:port` for TCP, as announced to all members. */
  announced(): readonly string[]
  /** Of those, the ones that a person configured. */
  readonly advertised: readonly string[]
  /** `address:port`, of the router's port mapping. */
  portMapped(): string | undefined
  toProcess(message: ToProcess): boolean
}

export class OwnAddresses {
  readonly #deps: OwnAddressesDeps
  readonly #observed = new ObservedAddresses()
  readonly #resolved = new Map<string, readonly string[]>()
  readonly #unresolved = new Set<string>()
  #isResolving = false
  #resolvedAt: Millis = Number.NEGATIVE_INFINITY
  /** Undefined: the process is too old to tell. */
  #hosts: readonly string[] | undefined
  #mapped: readonly string[] = []
  #relayed: readonly string[] = []
  #isSymmetric = false
  /**
   * Of the servers, those that every network reaches: since when each is asked. Their order changes with each round
   * trip.
   */
  #asked: ReadonlyMap<string, Millis> = new Map()
  #isAnswered = false
  #canAsk = false
  #ordered = ''

  constructor(deps: OwnAddressesDeps) {
    this.#deps = deps
  }

  /** @param canAsk whether the process knows `findAddresses` */
  connected(canAsk: boolean): void {
    this.#canAsk = canAsk
    this.#hosts = undefined
    this.#mapped = []
    this.#relayed = []
    this.#asked = new Map()
    this.#isAnswered = false
    this.#ordered = ''
    this.tick(true)
  }

  /** @param isNeeded whether a try is under way or will begin soon, so that the NATs' mappings must stay */
  tick(isNeeded: boolean): void {
    if (!this.#canAsk) return
    const { scheduler, stun, members, toProcess } = this.#deps
    if (scheduler.monotonic() - this.#resolvedAt >= RESOLVE_EVERY_MS) void this.#resolve()
    const configured = stun.flatMap((server) => this.#resolved.get(server) ?? [])
    // Those in public see what a NAT shows; one in the same network sees only what this host knows already.
    const asked = members().filter((endpoint) => mayBeHost(endpoint, this.#deps.overlay))
    const ordered = [...asked.filter(isPublic), ...asked.filter((e) => !isPublic(e))].slice(0, MAX_MEMBERS)
    const servers = [...new Set([...ordered, ...configured])].slice(0, MAX_STUN_SERVERS)
    const everyMs = isNeeded ? KEEP_EVERY_MS : LOOK_EVERY_MS
    const key = `${everyMs} ${servers.join(' ')}`
    if (key === this.#ordered) return
    if (!toProcess({ type: 'findAddresses', servers, everyMs })) return
    this.#ordered = key
    const reachable = servers.filter((endpoint) => isPublic(endpoint) || configured.includes(endpoint))
    const now = scheduler.monotonic()
    this.#asked = new Map(reachable.map((endpoint) => [endpoint, this.#asked.get(endpoint) ?? now]))
  }

  /** @returns what is new: addresses on TURN servers, others alone, or none */
  said({
    hosts,
    mapped,
    relayed = [],
  }: Extract<FromProcess, { type: 'ownAddresses' }>): 'relayed' | 'other' | undefined {
    const { overlay } = this.#deps
    const before = new Set([...(this.#hosts ?? []), ...this.#mapped, ...this.#relayed])
    this.#hosts = hosts.filter((endpoint) => mayBeHost(endpoint, overlay))
    this.#isSymmetric = isEachElse(mapped)
    this.#isAnswered = mapped.length > 0
    this.#mapped = byAgreement(mapped.map(({ address }) => address)).filter((e) => mayBeHost(e, overlay))
    this.#relayed = relayed.filter((endpoint) => mayBeHost(endpoint, overlay))
    if (this.#relayed.some((endpoint) => !before.has(endpoint))) return 'relayed'
    return [...this.#hosts, ...this.#mapped].some((endpoint) => !before.has(endpoint)) ? 'other' : undefined
  }

  /** Whether the NAT gives each destination another port: servers on different hosts see different ones. */
  get isSymmetric(): boolean {
    return this.#isSymmetric
  }

  /** Whether UDP leads out of here. @param peer its addresses: its own silence shows nothing of this host */
  udp(peer: readonly string[]): UdpOutside | undefined {
    if (this.#isAnswered || this.#observed.all().length > 0) return 'works'
    if (!this.#canAsk) return undefined
    const ofPeer = new Set(peer.map(hostOf))
    const since = this.#deps.scheduler.monotonic() - SILENT_AFTER_MS
    const isSilent = [...this.#asked].some(([endpoint, at]) => at <= since && !ofPeer.has(hostOf(endpoint)))
    return isSilent ? 'silent' : undefined
  }

  /** On TURN servers. */
  get relayed(): readonly string[] {
    return this.#relayed
  }

  /** A peer sees this host there. @returns true: no peer did lately */
  observed(hostId: number, address: string): boolean {
    // Others get nothing through a TURN server that was not told to let them.
    if (this.#relayed.includes(address)) return false
    return mayBeHost(address, this.#deps.overlay) && this.#observed.put(hostId, address)
  }

  forget(hostId: number): void {
    this.#observed.forget(hostId)
  }

  /** The process asks the servers again by itself. */
  networkChanged(): void {
    this.#observed.clear()
    this.#resolvedAt = Number.NEGATIVE_INFINITY
  }

  /** `address:port` at which the router lets all in. */
  get portMapped(): string | undefined {
    return this.#deps.portMapped()
  }

  /** @param linkedFrom this host's end of the link to the peer */
  candidates(port: number, linkedFrom: string | undefined): string[] {
    const { advertised, announced } = this.#deps
    return ownCandidates({
      port,
      linkedFrom,
      announced: this.#hosts === undefined ? announced() : advertised,
      hosts: this.#hosts ?? [],
      observed: this.#observed.all(),
      mapped: this.#mapped,
      portMapped: this.#deps.portMapped(),
      relayed: this.#relayed,
    })
  }

  /** One name after the other, and never twice at a time: how long a lookup takes is the resolver's affair. */
  async #resolve(): Promise<void> {
    if (this.#isResolving) return
    this.#isResolving = true
    this.#resolvedAt = this.#deps.scheduler.monotonic()
    for (const server of this.#deps.stun) await this.#resolveOne(server)
    this.#isResolving = false
  }

  async #resolveOne(server: string): Promise<void> {
    const { log, resolve } = this.#deps
    try {
      this.#resolved.set(server, await resolve(server))
      this.#unresolved.delete(server)
    } catch (err) {
      // What it led to before still serves.
      if (!this.#unresolved.has(server)) log.warn({ endpoint: server, err }, 'stun server was not found')
      this.#unresolved.add(server)
    }
  }
}

/** Whether servers on different hosts all see the same address with another port. Two that agree show the opposite. */
function isEachElse(mapped: readonly { readonly server: string; readonly address: string }[]): boolean {
  const seen = Map.groupBy(mapped, ({ address }) => hostOf(address))
  return [...seen.values()].some((sights) => {
    const byServer = new Map(sights.map(({ server, address }) => [hostOf(server), address]))
    return byServer.size > 1 && new Set(byServer.values()).size === byServer.size
  })
}

const hostOf = (endpoint: string): string => endpoint.slice(0, endpoint.lastIndexOf(':'))

/** Each once, those that most servers name first: a server that lies must not displace what the others say. */
function byAgreement(addresses: readonly string[]): string[] {
  const votes = new Map<string, number>()
  for (const address of addresses) votes.set(address, (votes.get(address) ?? 0) + 1)
  return [...votes].sort(([, a], [, b]) => b - a).map(([address]) => address)
}
