/** Keeps one allocation on a TURN server while it is wanted: address, permissions, channels. Pure. */

import type { Millis } from '../../../../core/clock.ts'
import { parseEndpoint } from '../../p2p/process/endpoint.ts'
import { Channels, type ChannelsDeps } from './channels.ts'
import { type Credentials, credentialsOf, type TurnLogin } from './credentials.ts'
import { decodeTurn } from './message.ts'
import { TurnRequests, type TurnResult } from './requests.ts'

/** Unused for so long, it is given back: other hosts need the server's ports, and tries come every few minutes. */
const KEEP_MS: Millis = 180_000
/** What servers give unless asked for less (RFC 8656, 7.2), in seconds. */
const LIFETIME_S = 600
/** Keeps the NAT's mapping, as STUN does, and notices within half a minute that the server forgot this host. */
const REFRESH_MS: Millis = 25_000
/** Waits after a failure, doubled each time. A server that is down for a moment should be back soon. */
const SILENT_AGAIN_MS: Millis = 5_000
const MOST_SILENT_AGAIN_MS: Millis = 60_000
/** What a person has to put right takes longer, and each refusal is a line in the server's log. */
const REFUSED_AGAIN_MS: Millis = 30_000
const MOST_REFUSED_AGAIN_MS: Millis = 600_000

export interface TurnServer extends TurnLogin {
  /** As configured, `turn.example:3478`. */
  readonly name: string
  /** `192.0.2.1:3478`. */
  readonly address: string
}

export interface AllocationDeps extends ChannelsDeps {
  newTransaction(): string
  /** Ms since the epoch. */
  wallNow(): Millis
  /** Whether other hosts could reach an address that the server says it relays for. */
  mayBeRelayed(endpoint: string): boolean
  /** State, problem or address changed. */
  changed(): void
}

/** `idle`: not wanted now. `waiting`: refused or without an answer, and asked again later. */
export type TurnState = 'idle' | 'asking' | 'ready' | 'waiting'

export interface TurnView {
  readonly name: string
  readonly state: TurnState
  /** In words for a person. */
  readonly problem?: string
  /** Where peers reach this host through the server. */
  readonly relayed?: string
  readonly rttMs?: Millis
}

export class TurnAllocation {
  readonly server: TurnServer
  readonly channels: Channels
  readonly #deps: AllocationDeps
  readonly #requests: TurnRequests
  #credentials: Credentials
  #state: TurnState = 'idle'
  #problem: string | undefined
  #relayed: string | undefined
  #rttMs: Millis | undefined
  #failures = 0
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
    this.#credentials = credentialsOf(server, deps.wallNow())
    this.#requests = new TurnRequests({
      newTransaction: () => deps.newTransaction(),
      credentials: () => this.#credentials,
    })
    this.channels = new Channels(this.#requests, deps, (now) => this.#again(now))
  }

  get view(): TurnView {
    return {
      name: this.server.name,
      state: this.#state,
      ...(this.#problem !== undefined && { problem: this.#problem }),
      ...(this.#relayed !== undefined && { relayed: this.#relayed }),
      ...(this.#rttMs !== undefined && { rttMs: this.#rttMs }),
    }
  }

  get nextAt(): Millis {
    const own = this.#isWanted || this.#state !== 'idle' ? this.#dueAt : Number.POSITIVE_INFINITY
    const channels = this.#state === 'ready' ? this.channels.nextAt : Number.POSITIVE_INFINITY
    return Math.min(own, channels, this.#requests.nextAt)
  }

  /** @param ips addresses that peers may send from; none: the allocation is not needed */
  want(ips: ReadonlySet<string>, now: Millis): void {
    const isWanted = ips.size > 0
    if (isWanted || this.#isWanted) this.#wantedAt = now
    this.#isWanted = isWanted
    if (this.#isWanted && this.#state === 'idle') this.#dueAt = Math.min(this.#dueAt, now)
    this.#ips = ips
    if (this.#relayed !== undefined) this.channels.permit(sameFamily(ips, this.#relayed), now)
    if (this.#state === 'ready' && now - this.#wantedAt >= KEEP_MS) this.#dueAt = Math.min(this.#dueAt, now)
  }

  /** A path through it fell silent, or the network changed: asks at once whether the server still knows this host. */
  check(now: Millis): void {
    this.#failures = 0
    if (this.#state === 'ready' || (this.#state === 'waiting' && this.#isWanted))
      this.#dueAt = Math.min(this.#dueAt, now)
  }

  /** A message came from the server's address. @returns whether it was one of TURN */
  received(bytes: Uint8Array, now: Millis): boolean {
    const message = decodeTurn(bytes)
    if (message === undefined) return false
    if (message.kind !== 'indication') this.#requests.answered(bytes, message, now)
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
    // For one allocation the name stays the same, or the server would refuse to refresh it (441).
    this.#credentials = credentialsOf(this.server, this.#deps.wallNow())
    this.#requests.forgetLogin()
    this.#hasCleared = false
    this.#set('asking')
    this.#allocate(now)
  }

  #allocate(now: Millis): void {
    this.#requests.ask({ method: 'allocate', lifetime: LIFETIME_S, isUdpWanted: true }, now, (result, at) =>
      this.#allocated(result, at),
    )
  }

  #allocated(result: TurnResult, now: Millis): void {
    if (result.kind === 'error' && result.code === 437 && !this.#hasCleared) {
      this.#hasCleared = true
      this.#clear(now)
      return
    }
    if (result.kind !== 'success') {
      this.#failed(result, now)
      return
    }
    const { relayed } = result.message
    if (relayed === undefined || !this.#deps.mayBeRelayed(relayed)) {
      this.#wait(`it relays for ${relayed ?? 'no address'}, where no host can be`, REFUSED_AGAIN_MS, now)
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

  /** Before a restart, this host's port had an allocation, which the server keeps for ten minutes. */
  #clear(now: Millis): void {
    this.#requests.ask({ method: 'refresh', lifetime: 0 }, now, (_, at) => this.#allocate(at))
  }

  #refresh(now: Millis): void {
    this.#requests.ask({ method: 'refresh', lifetime: LIFETIME_S }, now, (result, at) => {
      if (this.#state !== 'ready') return
      if (result.kind === 'success') {
        this.#rttMs = result.rttMs ?? this.#rttMs
        this.#dueAt = Math.min(this.#dueAt, at + REFRESH_MS)
      } else if (result.kind === 'error' && result.code === 437) this.#again(at)
      else this.#failed(result, at)
    })
  }

  /** The server does not know the allocation any more: it was started anew, or the NAT's mapping changed. */
  #again(now: Millis): void {
    if (this.#state !== 'ready') return
    this.#close('idle')
    this.#dueAt = now
  }

  #failed(result: Exclude<TurnResult, { kind: 'success' }>, now: Millis): void {
    if (result.kind === 'silent') this.#wait('it does not answer', SILENT_AGAIN_MS, now)
    else this.#wait(PROBLEMS[result.code] ?? `it refused with error ${result.code}`, REFUSED_AGAIN_MS, now)
  }

  #wait(problem: string, againMs: Millis, now: Millis): void {
    const most = againMs === SILENT_AGAIN_MS ? MOST_SILENT_AGAIN_MS : MOST_REFUSED_AGAIN_MS
    this.#dueAt = now + Math.min(most, againMs * 2 ** this.#failures)
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

/** RFC 8656, 19, and RFC 8489, 14.8. */
const PROBLEMS: Readonly<Record<number, string>> = {
  300: 'it refers to another server: name that one in paths.turn',
  400: 'it does not understand this host: is it a TURN server?',
  401: 'it refuses username and password, or the secret',
  403: 'it forbids relaying for this host',
  437: 'it still has an allocation of this host with another name, which ends within 10 minutes',
  438: 'it names a new nonce with each answer',
  441: 'it refuses username and password, or the secret',
  442: 'it does not relay UDP',
  486: 'its quota for this user is used up',
  508: 'it has no port left',
}

/** An IPv4 address relays for IPv4 alone (443). */
const sameFamily = (ips: ReadonlySet<string>, relayed: string): ReadonlySet<string> => {
  const isV6 = parseEndpoint(relayed)?.ip.byteLength === 16
  return new Set([...ips].filter((ip) => ip.includes(':') === isV6))
}
