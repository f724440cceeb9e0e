/** Keeps one allocation on a TURN server while it is wanted: address, permissions, channels. Pure. */

import type { Millis } from '../../../../core/clock.ts'
import { ServerAddresses, sameFamily } from './addresses.ts'
import { Channels, type ChannelsDeps } from './channels.ts'
import type { Credentials, TurnLogin } from './credentials.ts'
import { Login } from './login.ts'
import { decodeTurn } from './message.ts'
import { NO_ANSWER, refusalOf, relaysNowhere, SILENT, type TurnProblem, waitsOf } from './problems.ts'
import { TurnRequests, type TurnResult } from './requests.ts'

/** Unused for so long, it is given back: other hosts need the server's ports, and tries come every few minutes. */
const KEEP_MS: Millis = 180_000
/** Keeps the NAT's mapping, as STUN does, and notices within half a minute that the server forgot this host. */
const REFRESH_MS: Millis = 25_000
export interface TurnServer extends TurnLogin {
  /** As configured, `turn.example:3478`. */
  readonly name: string
  /** `192.0.2.1:3478`. */
  readonly address: string
  /** Of the same name, asked in turn while one is silent. */
  readonly others?: readonly string[]
}

export const addressesOf = ({ address, others = [] }: TurnServer): string[] => [address, ...others]

export interface AllocationDeps extends ChannelsDeps {
  newTransaction(): string
  /** Ms since the epoch. */
  wallNow(): Millis
  /** Whether other hosts could reach an address that the server says it relays for. */
  mayBeRelayed(endpoint: string): boolean
  /** Whether to ask a server at an address that another server named. */
  mayAsk(endpoint: string): boolean
  /** Of credentials that a secret makes; undefined: a day. */
  readonly loginLifeMs?: Millis
  /** State, problem or address changed. */
  changed(): void
}

/** `idle`: not wanted now. `waiting`: refused or without an answer, and asked again later. */
export type TurnState = 'idle' | 'asking' | 'ready' | 'waiting'

export interface TurnView extends Partial<TurnProblem> {
  readonly name: string
  readonly state: TurnState
  /** Where peers reach this host through the server. */
  readonly relayed?: string
  readonly rttMs?: Millis
}

type Failure = Exclude<TurnResult, { kind: 'success' }>

export class TurnAllocation {
  readonly server: TurnServer
  readonly channels: Channels
  readonly #deps: AllocationDeps
  readonly #requests: TurnRequests
  readonly #login: Login
  readonly #addresses: ServerAddresses
  #state: TurnState = 'idle'
  #problem: TurnProblem | undefined
  #relayed: string | undefined
  #rttMs: Millis | undefined
  #failures = 0
  #family: 6 | undefined
  /** After a failure it is not asked before this. */
  #notBefore: Millis = Number.NEGATIVE_INFINITY
  /** When to refresh, or to ask again. */
  #dueAt: Millis = Number.POSITIVE_INFINITY
  #wantedAt: Millis = Number.NEGATIVE_INFINITY
  #isWanted = false
  #ips: ReadonlySet<string> = new Set()
  /** A 437 was answered by giving the old allocation back; twice would be a circle. */
  #hasCleared = false

  constructor(server: TurnServer, deps: AllocationDeps) {
    this.server = server
    this.#deps = deps
    this.#login = new Login(server, deps.wallNow(), deps.loginLifeMs)
    this.#addresses = new ServerAddresses(addressesOf(server), (address) => deps.mayAsk(address))
    this.#requests = new TurnRequests({
      newTransaction: () => deps.newTransaction(),
      credentials: () => this.#login.current,
    })
    this.channels = new Channels(this.#requests, deps, (now) => this.#again(now))
  }

  /** Where its datagrams go to and come from now. */
  get address(): string {
    return this.#addresses.current
  }

  get view(): TurnView {
    return {
      name: this.server.name,
      state: this.#state,
      ...this.#problem,
      ...(this.#relayed !== undefined && { relayed: this.#relayed }),
      ...(this.#rttMs !== undefined && { rttMs: this.#rttMs }),
    }
  }

  get nextAt(): Millis {
    const own = this.#isWanted || this.#state !== 'idle' ? this.#dueAt : Number.POSITIVE_INFINITY
    const channels = this.#state === 'ready' ? this.channels.nextAt : Number.POSITIVE_INFINITY
    return Math.min(own, channels, this.#requests.nextAt)
  }

  /**
   * @param ips addresses that peers may send from; none: the allocation is not needed
   * @param relayedThere where servers of peers relay for them: a channel is opened to each
   */
  want(ips: ReadonlySet<string>, now: Millis, relayedThere: readonly string[] = []): void {
    const isWanted = ips.size > 0
    if (isWanted || this.#isWanted) this.#wantedAt = now
    this.#isWanted = isWanted
    if (this.#isWanted && this.#state === 'idle') this.#dueAt = Math.min(this.#dueAt, now)
    this.#ips = ips
    if (this.#relayed !== undefined) {
      this.channels.permit(sameFamily(ips, this.#relayed), now)
      this.channels.open(relayedThere, now)
    }
    if (this.#state === 'ready' && now - this.#wantedAt >= KEEP_MS) this.#dueAt = Math.min(this.#dueAt, now)
  }

  /** A path through it fell silent, or the network changed: asks at once whether the server still knows this host. */
  check(now: Millis): void {
    this.#requests.hurry(now)
    if (this.#state !== 'ready' && !(this.#state === 'waiting' && this.#isWanted)) return
    if (this.#notBefore <= now) this.#failures = 0
    this.#dueAt = Math.min(this.#dueAt, Math.max(now, this.#notBefore))
  }

  /** A message came from the server's address. @returns whether it was one of TURN */
  received(bytes: Uint8Array, now: Millis): boolean {
    const message = decodeTurn(bytes)
    if (message === undefined) return false
    if (message.kind !== 'indication') this.#requests.handleResponse(bytes, message, now)
    else if (message.method === 'data' && this.#state === 'ready')
      this.channels.heard(message.peer, message.data, now)
    return true
  }

  /** @returns datagrams for the server */
  tick(now: Millis): Uint8Array[] {
    const out: Uint8Array[] = []
    if (now >= this.#dueAt) this.#due(now, out)
    if (this.#state === 'ready') this.channels.tick(now)
    out.push(...this.#requests.tick(now))
    return out
  }

  /** Gives it back at once. @returns the datagram that says so, which nothing repeats */
  release(): Uint8Array | undefined {
    const isHeld = this.#state === 'ready'
    this.#close('idle')
    return isHeld ? this.#requests.once({ method: 'refresh', lifetime: 0 }) : undefined
  }

  #due(now: Millis, out: Uint8Array[]): void {
    this.#dueAt = Number.POSITIVE_INFINITY
    if (this.#state === 'ready') {
      if (this.#isWanted || now - this.#wantedAt < KEEP_MS) this.#refresh(now)
      else out.push(...[this.release()].filter((bytes) => bytes !== undefined))
    } else if (this.#state !== 'asking') {
      if (this.#isWanted) this.#begin(now)
      else this.#close('idle')
    }
  }

  #begin(now: Millis): void {
    this.#addresses.begin()
    this.#ask(now)
  }

  /** A server, or another address of it, knows nothing of what the one before said. */
  #ask(now: Millis): void {
    this.#close('asking')
    this.#login.begin(this.#deps.wallNow())
    this.#requests.forgetLogin()
    this.#hasCleared = false
    this.#family = undefined
    this.#allocate(now)
  }

  #allocate(now: Millis): void {
    const lifetime = this.#login.lifetimeS(this.#deps.wallNow())
    const request = { method: 'allocate', lifetime, isUdpWanted: true, family: this.#family } as const
    this.#requests.send(request, now, (result, at) => this.#allocated(result, at))
  }

  #allocated(result: TurnResult, now: Millis): void {
    if (result.kind !== 'success') {
      if (!this.#goesOn(result, now)) this.#failed(result, now)
      return
    }
    const { relayed } = result.message
    if (relayed === undefined || !this.#deps.mayBeRelayed(relayed)) {
      this.#wait(relaysNowhere(relayed), waitsOf(0), now)
      return
    }
    this.#rttMs = result.rttMs
    this.#failures = 0
    this.#problem = undefined
    this.#relayed = relayed
    this.channels.permit(sameFamily(this.#ips, relayed), now)
    this.#dueAt = now + REFRESH_MS
    this.#set('ready')
  }

  /** @returns whether another request may bring an allocation at once */
  #goesOn(result: Failure, now: Millis): boolean {
    if (result.kind === 'silent') {
      if (!this.#addresses.next()) return false
      this.#ask(now)
    } else if (result.code === 437 && !this.#hasCleared) {
      this.#hasCleared = true
      this.#clear(now)
    } else if (result.code === 440 && this.#family === undefined) {
      this.#family = 6
      this.#allocate(now)
    } else if (result.code === 300 && this.#addresses.follow(result.alternate)) this.#ask(now)
    else return false
    return true
  }

  /** Before a restart, this host's port had an allocation, which the server keeps for ten minutes. */
  #clear(now: Millis): void {
    this.#requests.send({ method: 'refresh', lifetime: 0 }, now, (_, at) => this.#allocate(at))
  }

  #refresh(now: Millis): void {
    const wallNow = this.#deps.wallNow()
    const successor = this.#login.successor(wallNow)
    const lifetime = this.#login.lifetimeS(wallNow)
    const request = { method: 'refresh', lifetime, ...(successor && { credentials: successor }) } as const
    this.#requests.send(request, now, (result, at) => {
      if (this.#state === 'ready') this.#refreshed(result, successor, at)
    })
  }

  #refreshed(result: TurnResult, successor: Credentials | undefined, now: Millis): void {
    const isMismatch = result.kind === 'error' && result.code === 437
    if (successor !== undefined && result.kind !== 'silent' && !isMismatch)
      this.#login.tried(successor, result.kind === 'success', this.#deps.wallNow())
    if (result.kind === 'success') {
      this.#rttMs = result.rttMs ?? this.#rttMs
      this.#dueAt = Math.min(this.#dueAt, now + REFRESH_MS)
    } else if (isMismatch) this.#again(now)
    else if (result.kind === 'silent') {
      this.#addresses.begin()
      if (!this.#goesOn(result, now)) this.#failed(result, now)
    }
    // The allocation is as it was: by its first name it lives on.
    else if (successor !== undefined) this.#dueAt = now
    else if (this.#login.hasExpired(this.#deps.wallNow())) this.#again(now)
    else this.#failed(result, now)
  }

  /** The server does not know the allocation any more: it was started anew, or the NAT's mapping changed. */
  #again(now: Millis): void {
    if (this.#state !== 'ready') return
    this.#close('idle')
    this.#dueAt = now
  }

  #failed(result: Failure, now: Millis): void {
    if (result.kind === 'silent') this.#wait(NO_ANSWER, SILENT, now)
    else this.#wait(refusalOf(result, this.server, this.#deps.wallNow()), waitsOf(result.code), now)
  }

  #wait(problem: TurnProblem, { againMs, leastMs, mostMs }: typeof SILENT, now: Millis): void {
    this.#dueAt = now + Math.min(mostMs, againMs * 2 ** this.#failures)
    this.#notBefore = now + leastMs
    this.#failures = Math.min(this.#failures + 1, 10)
    this.#problem = problem
    this.#close('waiting')
  }

  #close(state: TurnState): void {
    this.#requests.forget()
    this.channels.clear()
    this.#relayed = undefined
    if (state === 'idle') this.#dueAt = Number.POSITIVE_INFINITY
    this.#set(state)
  }

  #set(state: TurnState): void {
    this.#state = state
    this.#deps.changed()
  }
}
