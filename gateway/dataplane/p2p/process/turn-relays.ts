/** Reaches peers through TURN servers when nothing else is proven: which servers, since when, for whom. */
import type { Millis } from '../../../../core/clock.ts'
import type { Log } from '../../../../core/log.ts'
import {
  type AllocationDeps,
  addressesOf,
  TurnAllocation,
  type TurnServer,
  type TurnView,
} from '../../nat/turn/allocation.ts'
import { ipOf } from '../../nat/turn/channels.ts'
import type { FromProcess } from '../protocol.ts'
import { relayedAddress } from '../udp/relayed-port.ts'

/** How often to look whether a server is still needed, while one is held or a path is not proven. */
const LOOK_MS: Millis = 1_000
/** A new session has this long for its direct addresses; two of the hardest NATs that can be direct take 0.3 s. */
export const RELAY_AFTER_MS: Millis = 500

/** Timers look a little early: a session that is a moment too young would wait for the next look. */
const TIMER_MS: Millis = 10

/** Where a datagram to an address of 0.0.0.0/8 goes. */
export interface RelayedBy {
  /** As configured, `turn.example:3478`. */
  readonly server: string
  readonly serverAddress: string
  /** The peer as the server sees it. */
  readonly peer: string
}

/** Which peers have no way but a server's. */
export interface RelayNeed {
  readonly addresses: readonly string[]
  /** Where TURN servers of these peers relay for them: of two servers neither sends first, so the way is opened. */
  readonly relayedThere: readonly string[]
  /** Some other path is not proven yet. */
  readonly mayGrow: boolean
}

interface NeedyPath {
  /** All that the peer may send from. */
  readonly addresses: readonly string[]
  readonly relayed: { readonly ofPeer: readonly string[] }
  readonly prober: { readonly isProven: boolean }
  needsRelay(now: Millis): boolean
}

export const needOf = (paths: readonly NeedyPath[], now: Millis): RelayNeed => ({
  addresses: paths.flatMap((path) => (path.needsRelay(now) ? path.addresses : [])),
  relayedThere: paths.flatMap((path) =>
    path.needsRelay(now) && !path.prober.isProven ? path.relayed.ofPeer : [],
  ),
  mayGrow: paths.some(({ prober }) => !prober.isProven),
})

export interface TurnRelaysDeps
  extends Pick<AllocationDeps, 'newTransaction' | 'wallNow' | 'mayBeRelayed' | 'knows'> {
  now(): Millis
  /** Whether a server may be at an address that another server named. */
  mayBeServer(endpoint: string): boolean
  readonly log: Log
  needed(): RelayNeed
  send(bytes: Uint8Array, to: string): void
  readonly port: {
    bind(server: number, address: string, channel: number, port: number): void
    unbind(server: number, channel: number): void
  }
  report(message: FromProcess): void
  /** `address` leads to `peer`, through a server of this host. */
  opened(address: string, peer: string): void
  /** `relayed` changed. */
  changed(): void
}

interface Held {
  readonly allocation: TurnAllocation
  toldProblem: string | undefined
}

export class TurnRelays {
  readonly #deps: TurnRelaysDeps
  /** By place, which is part of the addresses that lead through it. */
  readonly #held = new Map<number, Held>()
  readonly #by = new Map<string, RelayedBy>()
  #lookAt: Millis = Number.POSITIVE_INFINITY
  #isDirty = false
  #told = ''

  constructor(deps: TurnRelaysDeps) {
    this.#deps = deps
  }

  /** Where peers reach this host through its servers. */
  get relayed(): string[] {
    return this.#views().flatMap(({ relayed }) => relayed ?? [])
  }

  get nextAt(): Millis {
    if (this.#held.size === 0) return Number.POSITIVE_INFINITY
    let at = this.#lookAt
    for (const { allocation } of this.#held.values()) at = Math.min(at, allocation.nextAt)
    return at
  }

  /** Allocations on servers that stay are kept. */
  order(servers: readonly TurnServer[]): void {
    const wanted = new Set(servers)
    for (const [place, { allocation }] of this.#held) {
      const same = servers.find((server) => isServed(server, allocation))
      if (same !== undefined && wanted.delete(same)) continue
      this.#give(allocation)
      this.#held.delete(place)
    }
    for (const server of wanted) {
      let place = 0
      while (this.#held.has(place)) place++
      this.#held.set(place, { allocation: this.#open(server, place), toldProblem: undefined })
    }
    this.#told = ''
    this.#isDirty = true
    this.soon(0)
  }

  /** A session began: it may need a server in a moment. */
  soon(ms: Millis = RELAY_AFTER_MS + TIMER_MS): void {
    if (this.#held.size > 0) this.#lookAt = Math.min(this.#lookAt, this.#deps.now() + ms)
  }

  /** A path was lost, or the network changed. */
  check(): void {
    for (const { allocation } of this.#held.values()) allocation.check(this.#deps.now())
    this.soon(0)
  }

  /** Undefined: the address is none of a server's. */
  by(address: string): RelayedBy | undefined {
    return this.#by.get(address)
  }

  /** STUN arrived. @returns whether it was TURN, and of one of the servers */
  heard(bytes: Uint8Array, from: string): boolean {
    const held = [...this.#held.values()].find(({ allocation }) => allocation.address === from)
    // The same server may answer STUN.
    return held?.allocation.received(bytes, this.#deps.now()) === true
  }

  tick(): void {
    const now = this.#deps.now()
    if (now >= this.#lookAt) this.#look(now)
    for (const { allocation } of this.#held.values())
      if (now >= allocation.nextAt)
        for (const bytes of allocation.tick(now)) this.#deps.send(bytes, allocation.address)
    if (!this.#isDirty) return
    this.#isDirty = false
    this.#tell()
  }

  /** This process ends: the servers need not keep anything for it. */
  release(): void {
    for (const { allocation } of this.#held.values()) this.#give(allocation)
    this.#held.clear()
  }

  #views(): TurnView[] {
    return [...this.#held.values()].map(({ allocation }) => allocation.view)
  }

  #open(server: TurnServer, place: number): TurnAllocation {
    const { mayBeServer, port } = this.#deps
    const allocation: TurnAllocation = new TurnAllocation(server, {
      ...this.#deps,
      changed: () => {
        this.#isDirty = true
      },
      // What two allocations at one address receive would belong to either.
      mayAsk: (address) => mayBeServer(address) && !this.#asks(address),
      bound: (peer, channel) => {
        const peerPort = Number(/\d+$/.exec(peer)?.[0])
        const serverAddress = allocation.address
        port.bind(place, serverAddress, channel, peerPort)
        const address = relayedAddress(place, channel, peerPort)
        this.#by.set(address, { server: server.name, serverAddress, peer })
        this.#deps.opened(address, peer)
      },
      unbound: (peer, channel) => {
        port.unbind(place, channel)
        this.#by.delete(relayedAddress(place, channel, Number(/\d+$/.exec(peer)?.[0])))
      },
    })
    return allocation
  }

  #asks(address: string): boolean {
    return this.#held
      .values()
      .some(({ allocation }) => [allocation.address, ...addressesOf(allocation.server)].includes(address))
  }

  #give(allocation: TurnAllocation): void {
    const bytes = allocation.release()
    if (bytes !== undefined) this.#deps.send(bytes, allocation.address)
  }

  #look(now: Millis): void {
    const { addresses, mayGrow, relayedThere } = this.#deps.needed()
    const ips = new Set(addresses.map((address) => ipOf(this.#by.get(address)?.peer ?? address)))
    for (const { allocation } of this.#held.values()) allocation.want(ips, now, relayedThere)
    const isQuiet = ips.size === 0 && !mayGrow && this.#views().every(({ state }) => state === 'idle')
    this.#lookAt = isQuiet ? Number.POSITIVE_INFINITY : now + LOOK_MS
  }

  #tell(): void {
    const views = this.#views()
    for (const held of this.#held.values()) this.#log(held)
    const told = JSON.stringify(views)
    if (told === this.#told) return
    this.#told = told
    this.#deps.report({ type: 'turn', servers: views })
    this.#deps.changed()
  }

  /** Each problem once, until it is over: a server is asked again and again. */
  #log(held: Held): void {
    const { name, problem, state } = held.allocation.view
    if (problem === held.toldProblem) return
    held.toldProblem = problem
    if (problem !== undefined)
      this.#deps.log.warn({ endpoint: name, reason: problem }, 'turn server could not be used')
    else if (state === 'ready') this.#deps.log.info({ endpoint: name }, 'turn server can be used again')
  }
}

const loginOf = ({ name, username, password, secret }: TurnServer): string =>
  JSON.stringify([name, username, password, secret])

/** A name may have its addresses in another order each time, and what relays now must not end for that. */
function isServed(server: TurnServer, allocation: TurnAllocation): boolean {
  const [now, before] = [addressesOf(server), addressesOf(allocation.server)]
  if (loginOf(server) !== loginOf(allocation.server)) return false
  if (allocation.view.state !== 'ready') return now.toSorted().join() === before.toSorted().join()
  return now.includes(allocation.address) || !before.includes(allocation.address)
}
