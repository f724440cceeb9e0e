/** Keeps the router's mapping for the UDP port: asks for it, renews it, moves it, and deletes it at the end. */

import type { PortMappingProtocol } from '../../../../conf/port-mapping.ts'
import type { Millis } from '../../../../core/clock.ts'
import { isoOf } from '../../../base/iso.ts'
import { jittered } from '../../../base/scheduler.ts'
import type { PortMappingDeps } from './port-mapping-deps.ts'
import type { SavedMapping } from './record.ts'
import { RouterWatch } from './router-watch.ts'
import type { Answer, Granted, MappingRequest, RouterPlace } from './types.ts'

/** As `GET /v1/status` shows it. */
export interface PortMappingStatus {
  readonly protocol?: PortMappingProtocol
  /** `192.0.2.1:7443`; absent: there is no mapping. */
  readonly external?: string
  /** Until when the router keeps it unless it is renewed. ISO 8601, UTC. */
  readonly until?: string
  readonly router?: string
  /** Why there is no mapping, or why it was not renewed. */
  readonly reason?: string
  /** The router speaks a protocol and says no. */
  readonly isDenied?: boolean
}

interface Held extends SavedMapping, Pick<Granted, 'external'> {
  readonly until: Millis
}

/** Renewed after half of it. */
const LIFETIME_S = 3_600
/** Whatever a router grants, it is not asked more often. */
const MIN_RENEW_MS: Millis = 30_000
const FIRST_BACKOFF_MS: Millis = 60_000
const MOST_BACKOFF_MS: Millis = 3_600_000
/** Networks change several times in a row while a link comes up. */
const MIN_GAP_MS: Millis = 2_000
/** A gateway that stops waits no longer; the mapping then expires, or the next start has it. */
const RELEASE_MS: Millis = 1_000
const ASKING = 'the router is being asked'
/** All protocols' waits together. A router's clients are bounded themselves, this bounds their sum. */
const ASK_MS: Millis = 30_000

export class PortMapping {
  readonly #deps: PortMappingDeps
  #port: number | undefined
  #nonce: string | undefined
  #held: Held | undefined
  /** A mapping without an end that was asked for, and may be there without an answer. */
  #intent: SavedMapping | undefined
  #releasedPort: number | undefined
  readonly #watch: RouterWatch
  #reason: string | undefined = 'direct paths do not listen yet'
  #isDenied = false
  #router: string | undefined
  #backoffMs: Millis = FIRST_BACKOFF_MS
  #askedAt: Millis = Number.NEGATIVE_INFINITY
  #asking: AbortController | undefined
  #cancel: (() => void) | undefined
  /** Until there is a mapping again. */
  #isForgotten = false
  #isStopped = false

  constructor(deps: PortMappingDeps) {
    this.#deps = deps
    this.#watch = new RouterWatch(deps, () => this.#forgotten())
  }

  /** Deletes what an earlier run left, if mappings are off now. */
  start(): void {
    const { protocols, record } = this.#deps
    if (protocols.length > 0) return
    this.#reason = 'switched off'
    const saved = record.load()
    if (saved !== undefined) void this.#release(saved)
  }

  /** @param port of UDP, on which direct paths receive; undefined: on none */
  listens(port: number | undefined): void {
    if (port === this.#port || this.#deps.protocols.length === 0) return
    const held = this.#held
    if (held !== undefined && port !== undefined && port !== held.port) {
      this.#lose('direct paths listen on another port')
      void this.#release(held)
    }
    this.#port = port
    if (port === undefined) {
      // Direct paths may be back at once, so it stays as long as the router keeps it.
      if (held !== undefined) this.#later(held.until - this.#deps.scheduler.monotonic())
      return
    }
    if (this.#held === undefined) this.#reason = ASKING
    this.#soon()
  }

  /** Another router, or the same one after it started anew. */
  networkChanged(): void {
    if (this.#port === undefined) return
    this.#backoffMs = FIRST_BACKOFF_MS
    this.#soon()
  }

  get external(): string | undefined {
    return this.#held?.external
  }

  get status(): PortMappingStatus {
    const { scheduler } = this.#deps
    const held = this.#held
    return {
      ...(held !== undefined && {
        protocol: held.protocol,
        external: held.external,
        until: isoOf(scheduler.now() + held.until - scheduler.monotonic()),
      }),
      ...(this.#router !== undefined && { router: this.#router }),
      ...(this.#reason !== undefined && { reason: this.#reason, isDenied: this.#isDenied }),
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel?.()
    this.#asking?.abort()
    this.#asking = undefined
    this.#watch.stop()
    const held = this.#held ?? this.#intent
    this.#held = undefined
    if (held !== undefined) await this.#release(held)
  }

  #soon(): void {
    const { scheduler } = this.#deps
    this.#later(Math.max(0, this.#askedAt + MIN_GAP_MS - scheduler.monotonic()))
  }

  #later(ms: Millis): void {
    this.#cancel?.()
    this.#asking?.abort()
    this.#asking = undefined
    if (this.#isStopped) return
    this.#cancel = this.#deps.scheduler.after(ms, () => void this.#ask())
  }

  async #ask(): Promise<void> {
    const { ask, place: placeOf, scheduler } = this.#deps
    const port = this.#port
    if (port === undefined) {
      if (this.#held !== undefined) this.#lose('direct paths do not listen any more')
      return
    }
    this.#askedAt = scheduler.monotonic()
    const place = placeOf()
    const before = this.#before(port, place)
    if ('problem' in place) {
      this.#router = undefined
      this.#refused({ refused: place.problem })
      return
    }
    this.#router = place.gateway
    const controller = new AbortController()
    this.#asking = controller
    const externalPort = before?.externalPort ?? port
    this.#nonce = before?.nonce ?? this.#deps.newNonce()
    const nonce = this.#nonce
    const willKeep = (kept: number): void => {
      const { gateway, ownAddress } = place
      this.#intent = { protocol: 'upnp', gateway, ownAddress, port, externalPort: kept, nonce }
      this.#deps.record.save(this.#intent)
    }
    const request = { port, externalPort, lifetimeS: LIFETIME_S, nonce, willKeep }
    const timeout = AbortSignal.timeout(ASK_MS)
    const answer = await ask(
      this.#protocols(before),
      place,
      request,
      AbortSignal.any([controller.signal, timeout]),
    )
    // Something else began meanwhile, and asks for the same mapping.
    if (this.#asking !== controller) return
    this.#asking = undefined
    if ('granted' in answer) this.#granted(answer.granted, { ...place, ...request })
    else this.#refused(answer)
  }

  /** The mapping that there is, or that an earlier run left, if this is the same port and router. */
  #before(port: number, place: RouterPlace | { readonly problem: string }): SavedMapping | undefined {
    const held = this.#held
    if (held !== undefined) {
      if (isSamePlace(held, place) && this.#isAlive(held)) return held
      this.#lose('problem' in place ? place.problem : 'the network changed, or it expired')
    }
    const saved = this.#deps.record.load()
    if (saved === undefined || !isSamePlace(saved, place)) return undefined
    if (saved.port === port) return saved
    // Of an earlier run: what has no end would stay for ever once another one is recorded.
    if (saved.port !== this.#releasedPort) void this.#release(saved)
    return undefined
  }

  #isAlive({ until }: Held): boolean {
    return this.#deps.scheduler.monotonic() < until
  }

  /** A mapping is renewed by the protocol that made it; else that one only goes first. */
  #protocols(before: SavedMapping | undefined): readonly PortMappingProtocol[] {
    const { protocols } = this.#deps
    if (this.#held !== undefined) return [this.#held.protocol]
    if (before === undefined) return protocols
    return protocols.toSorted((a, b) => Number(b === before.protocol) - Number(a === before.protocol))
  }

  #granted({ protocol, external, lifetimeS, service }: Granted, asked: MappingRequest & RouterPlace): void {
    const { log, made, mayOffer, record, scheduler } = this.#deps
    if (lifetimeS === 0 || !mayOffer(external)) {
      this.#refused({
        refused: `the router grants ${external} for ${lifetimeS} s, where no host can be reached`,
      })
      return
    }
    const { gateway, ownAddress, port, nonce } = asked
    const externalPort = Number(/\d+$/.exec(external)?.[0])
    const before = this.#held?.external
    const saved = { protocol, gateway, ownAddress, port, externalPort, nonce }
    this.#held = { ...saved, external, until: scheduler.monotonic() + lifetimeS * 1_000 }
    this.#intent = undefined
    this.#watch.follow(protocol, { gateway, ownAddress }, service && { service, port, externalPort })
    this.#isForgotten = false
    this.#reason = undefined
    this.#isDenied = false
    this.#backoffMs = FIRST_BACKOFF_MS
    record.save(saved)
    this.#later(Math.max(MIN_RENEW_MS, (Math.min(lifetimeS, LIFETIME_S) * 1_000) / 2))
    if (before === external) return
    log.info({ endpoint: external, reason: protocol }, 'port mapping was made')
    made()
  }

  /** A mapping that could not be renewed stays until it expires. */
  #refused({ refused, isDenied = false }: Extract<Answer, { refused: string }>): void {
    const { log, random, scheduler } = this.#deps
    if (refused !== this.#reason) log.debug({ reason: refused }, 'port mapping could not be had')
    this.#reason = refused
    this.#isDenied = isDenied
    const held = this.#held
    const waitMs = jittered(this.#backoffMs, random())
    this.#backoffMs = Math.min(MOST_BACKOFF_MS, this.#backoffMs * 2)
    const leftMs = held === undefined ? Number.POSITIVE_INFINITY : held.until - scheduler.monotonic()
    this.#later(Math.max(MIN_GAP_MS, Math.min(waitMs, leftMs)))
  }

  #lose(reason: string): void {
    this.#deps.log.info({ endpoint: this.#held?.external, reason }, 'port mapping was lost')
    this.#held = undefined
    this.#reason = ASKING
    this.#watch.stop()
  }

  /** The same mapping is asked for again; until it is there, nothing comes in. */
  #forgotten(): void {
    if (!this.#isForgotten) this.#deps.log.info({ endpoint: this.#router }, 'router was started anew')
    this.#isForgotten = true
    this.#soon()
  }

  /** The record stays if the router does not confirm: then the next start tries again. */
  async #release({ protocol, gateway, ownAddress, port, externalPort, nonce }: SavedMapping): Promise<void> {
    const { ask, log, record } = this.#deps
    const request = { port, externalPort, lifetimeS: 0, nonce }
    this.#releasedPort = port
    const answer = await ask([protocol], { gateway, ownAddress }, request, AbortSignal.timeout(RELEASE_MS))
    if ('refused' in answer) log.debug({ reason: answer.refused }, 'port mapping could not be deleted')
    else {
      log.debug({ reason: protocol }, 'port mapping was deleted')
      // Not that of a mapping for another port, which may have been made meanwhile.
      if (record.load()?.port === port) record.clear()
    }
  }
}

const isSamePlace = (
  { gateway, ownAddress }: RouterPlace,
  place: RouterPlace | { readonly problem: string },
): boolean => !('problem' in place) && place.gateway === gateway && place.ownAddress === ownAddress
