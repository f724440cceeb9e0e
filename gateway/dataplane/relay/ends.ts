/** This host's end of relayed connections: at most one for each peer and relay. */

import type { TLSSocket } from 'node:tls'
import type { TierConf } from '../../../conf/tiers.ts'
import type { Log, LogFields } from '../../../core/log.ts'
import { printable } from '../../base/printable.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { Identity, Membership } from '../../links/types.ts'
import { type Connection, Connections } from './connections.ts'
import { RelayDialer } from './dialer.ts'
import { EndLimit } from './limits.ts'
import { Problems } from './problems.ts'
import { Purpose, type RelayOffer, type RelayStreams, reasonOf } from './purpose.ts'
import { keep, type Secured, secureAsClient, secureAsServer, WrongEnd } from './secure.ts'

/** Called synchronously; must not throw. */
interface RelayEvents {
  /**
   * A connection stands, opened by either side. Another one to the same host through the same relay replaces it
   * without a `down`. The first bytes may wait in the socket already. A user that finds the connection silent
   * destroys it with an error: then the relay has a problem.
   */
  up(hostId: number, relay: number, socket: TLSSocket): void
  /** There is none any more. */
  down(hostId: number, relay: number, reason: string): void
  /** `problem` has another answer: the path to the host should be decided again. */
  problemChanged(hostId: number, relay: number): void
}

export interface EndsDeps {
  /** Of relays for this host's own packets. */
  readonly tier: TierConf
  readonly identity: () => Identity
  readonly membership: Membership
  readonly streams: RelayStreams
  readonly scheduler: Scheduler
  readonly random: () => number
  readonly events: RelayEvents
  readonly log: Log
  /** Why packets cannot be carried on this host; undefined when they can. */
  noTunnel(): string | undefined
}

interface Requested {
  readonly relay: number
  readonly dialer: RelayDialer
}

export class Ends {
  readonly #deps: EndsDeps
  readonly #connections: Connections
  readonly #requested = new Map<number, Requested>()
  /** Handshakes that others began, by host and relay. */
  readonly #incoming = new Map<string, { readonly relay: number; readonly abort: AbortController }>()
  readonly #problems = new Problems()
  #isStopped = false

  constructor(deps: EndsDeps) {
    this.#deps = deps
    this.#connections = new Connections({
      ownHostId: () => this.#ownId,
      scheduler: deps.scheduler,
      lost: (connection, reason, isBroken) => this.#lost(connection, reason, isBroken),
      closed: (connection, reason) => this.#down(connection, reason),
    })
  }

  get count(): number {
    return this.#connections.size
  }

  problem(hostId: number, relay: number): string | undefined {
    return this.#problems.of(hostId, relay, this.#deps.scheduler.monotonic())
  }

  request(hostId: number, relay: number): void {
    const before = this.#requested.get(hostId)
    if (this.#isStopped || before?.relay === relay) return
    before?.dialer.stop()
    const { scheduler, random } = this.#deps
    const requested: Requested = {
      relay,
      dialer: new RelayDialer({
        scheduler,
        random,
        headStartMs: this.#ownId < hostId ? 0 : EndLimit.headStartMs,
        isNeeded: () => this.#connections.get(hostId, relay) === undefined,
        dial: (signal) => this.#dial(hostId, relay, signal),
        failed: (err) => this.#fail(hostId, relay, err),
      }),
    }
    this.#requested.set(hostId, requested)
    const standing = this.#connections.get(hostId, relay)
    if (standing === undefined) requested.dialer.start()
    else this.#settleOn(standing)
  }

  release(hostId: number): void {
    this.#requested.get(hostId)?.dialer.stop()
    this.#requested.delete(hostId)
    for (const c of this.#connections.all()) if (c.hostId === hostId) this.#connections.release(c)
  }

  /** The relay's link came up: what failed before says nothing of it. */
  linkUp(relay: number): void {
    this.#problems.endAll(relay)
    for (const requested of this.#requested.values())
      if (requested.relay === relay) requested.dialer.retryNow()
  }

  /** After a change of membership. */
  refresh(): void {
    for (const connection of this.#connections.all()) {
      const refusal = this.#deps.membership.refusal(connection.hostId, connection.keyId)
      if (refusal !== undefined) this.#connections.close(connection, refusal)
    }
  }

  stop(): void {
    this.#isStopped = true
    for (const { dialer } of this.#requested.values()) dialer.stop()
    this.#requested.clear()
    for (const { abort } of this.#incoming.values()) abort.abort(new Error('this gateway stops'))
    for (const connection of this.#connections.all())
      this.#connections.close(connection, 'this gateway stops')
  }

  /** A stream by which a gateway claims that `from` is at its other end. The certificate shows whether it is. */
  async accept(offer: RelayOffer): Promise<void> {
    const { hostId: relay, head } = offer
    const { from } = head
    const refusal = this.#refusal(from, relay)
    if (refusal !== undefined || typeof from !== 'number') {
      this.#deps.log.debug({ relay, reason: refusal }, 'relayed connection refused')
      offer.refuse(refusal ?? 'no host')
      return
    }
    const key = `${from} ${relay}`
    this.#incoming.get(key)?.abort.abort(new Error('asked anew'))
    const incoming = { relay, abort: new AbortController() }
    this.#incoming.set(key, incoming)
    try {
      const secured = await this.#secure(secureAsServer, offer.accept(), from, relay, incoming.abort.signal)
      this.#adopt(secured, from, relay, from)
    } catch (err) {
      this.#log(err, { peer: from, relay, reason: reasonOf(err) }, 'relayed connection refused')
    } finally {
      if (this.#incoming.get(key) === incoming) this.#incoming.delete(key)
    }
  }

  get #ownId(): number {
    return this.#deps.identity().hostId
  }

  #refusal(from: unknown, relay: number): string | undefined {
    if (this.#isStopped) return 'this gateway stops'
    if (!this.#deps.tier.enabled) return 'it takes no relayed connection (paths.tiers.relay.enabled)'
    if (this.#handshakesBy(relay) >= EndLimit.incoming) return 'too many handshakes'
    const member = this.#deps.membership.members().find((m) => m.hostId === from)
    if (member === undefined || from === relay || from === this.#ownId)
      return 'not from a host behind the relay'
    const lack = this.#deps.noTunnel()
    if (lack !== undefined) return `it carries no packets (${lack})`
    return this.#deps.membership.refusal(member.hostId, member.keyId)
  }

  #handshakesBy(relay: number): number {
    return [...this.#incoming.values()].filter((i) => i.relay === relay).length
  }

  async #dial(hostId: number, relay: number, signal: AbortSignal): Promise<void> {
    const { scheduler, streams, tier } = this.#deps
    const late = new AbortController()
    const cancel = scheduler.after(tier.timeoutMs, () => late.abort(new Error('no handshake in time')))
    try {
      const head = { purpose: Purpose.relay, to: hostId }
      const timeoutMs = Math.min(tier.timeoutMs, EndLimit.openMs)
      const stream = await streams.open(relay, head, { timeoutMs })
      const either = AbortSignal.any([signal, late.signal])
      this.#adopt(
        await this.#secure(secureAsClient, stream, hostId, relay, either),
        hostId,
        relay,
        this.#ownId,
      )
    } finally {
      cancel()
    }
  }

  async #secure(
    how: typeof secureAsServer,
    ...[stream, hostId, relay, signal]: [Parameters<typeof secureAsServer>[0], number, number, AbortSignal]
  ): Promise<Secured> {
    const { identity, membership, scheduler } = this.#deps
    const late = new AbortController()
    const cancel = scheduler.after(EndLimit.handshakeMs, () => late.abort(new Error('no handshake in time')))
    try {
      const either = AbortSignal.any([signal, late.signal])
      return await how(stream, { identity: identity(), membership, hostId, relay, signal: either })
    } finally {
      cancel()
    }
  }

  #adopt(secured: Secured, hostId: number, relay: number, dialledBy: number): void {
    const { events, log, scheduler } = this.#deps
    const connection: Connection = { ...secured, hostId, relay, dialledBy, since: scheduler.monotonic() }
    if (!this.#connections.adopt(connection)) return
    const isNews = this.#problems.end(hostId, relay)
    if (dialledBy !== this.#ownId) keep(secured)
    log.info({ peer: hostId, relay }, 'relayed connection made')
    events.up(hostId, relay, secured.socket)
    if (this.#requested.get(hostId)?.relay === relay) this.#settleOn(connection)
    else this.#connections.release(connection)
    if (isNews) events.problemChanged(hostId, relay)
  }

  /** It is the one that is wanted, and stands: those through other relays may go. */
  #settleOn(connection: Connection): void {
    this.#connections.use(connection)
    for (const other of this.#connections.all()) {
      if (other.hostId === connection.hostId && other !== connection) this.#connections.release(other)
    }
  }

  /** One that stood for long and was closed is made again before its relay is given up. */
  #lost(connection: Connection, reason: string, isBroken: boolean): void {
    const { hostId, relay, since } = connection
    const requested = this.#requested.get(hostId)
    const isWanted = requested?.relay === relay
    const hasSettled = this.#deps.scheduler.monotonic() - since >= EndLimit.settledMs
    if (isWanted && hasSettled) requested.dialer.settled()
    // Of two that meet, the end of the one may be known here before the other is: that one's own outcome counts.
    const isFailure = isWanted && !requested.dialer.isTrying && (isBroken || !hasSettled)
    const forMs = hasSettled ? EndLimit.brokenMs : EndLimit.unusableMs
    if (isFailure) this.#problems.add(hostId, relay, reason, this.#deps.scheduler.monotonic(), forMs)
    if (isWanted) requested.dialer.start()
    this.#down(connection, reason)
    if (isFailure) this.#deps.events.problemChanged(hostId, relay)
  }

  #down({ hostId, relay }: Connection, reason: string): void {
    this.#deps.log.info({ peer: hostId, relay, reason }, 'relayed connection ended')
    this.#deps.events.down(hostId, relay, reason)
  }

  /** A try came to nothing. */
  #fail(hostId: number, relay: number, err: unknown): void {
    const { events, scheduler } = this.#deps
    const reason = printable(reasonOf(err))
    this.#log(err, { peer: hostId, relay, reason }, 'relayed connection failed')
    this.#problems.add(hostId, relay, reason, scheduler.monotonic())
    events.problemChanged(hostId, relay)
  }

  /** A relay that leads elsewhere is worth a look; what else goes wrong is tried again. */
  #log(err: unknown, fields: LogFields, event: string): void {
    const { log } = this.#deps
    if (err instanceof WrongEnd) log.warn(fields, event)
    else log.debug(fields, event)
  }
}
