/** Finds this host's addresses for the gateway: those of its interfaces, and its socket's as STUN servers see it. */
import type { Millis } from '../../../../core/clock.ts'
import { formatEndpoint } from '../../../../core/endpoint.ts'
import { StunClient } from '../../nat/stun-client.ts'
import type { FromProcess, ToProcess } from '../protocol.ts'

export interface OwnAddressesDeps {
  now(): Millis
  /** 24 random hex digits. */
  newTransaction(): string
  /** Of this host's interfaces, without port. */
  hosts(): readonly string[]
  /** Of the socket: the port, and which addresses it receives at. */
  port(): number
  receivesAt(endpoint: string): boolean
  send(bytes: Uint8Array, to: string): void
  /** On TURN servers. */
  relayed(): readonly string[]
  report(message: FromProcess): void
}

/** More addresses than a peer accepts are of no use: a host with hundreds of them offers the first ones. */
const MAX_HOSTS = 64

/** Silent until the gateway asks: an older one would not understand. */
export class OwnAddresses {
  readonly #deps: OwnAddressesDeps
  readonly #stun: StunClient
  #isAsked = false
  #told = ''

  constructor(deps: OwnAddressesDeps) {
    this.#deps = deps
    this.#stun = new StunClient(() => deps.newTransaction())
  }

  get nextAt(): Millis {
    return this.#stun.nextAt
  }

  /** STUN responses to no request of this host. */
  get unasked(): number {
    return this.#stun.unasked
  }

  order({ servers, everyMs }: Extract<ToProcess, { type: 'findAddresses' }>): void {
    this.#isAsked = true
    this.#told = ''
    this.#stun.useServers(servers, everyMs, this.#deps.now())
    this.#tell()
  }

  /** No gateway is there that could use them. */
  rest(): void {
    this.#isAsked = false
    this.#stun.useServers([], 0, this.#deps.now())
  }

  /** What a TURN server relays for changed. */
  relayedChanged(): void {
    this.#tell()
  }

  networkChanged(): void {
    this.#stun.refresh(this.#deps.now())
    this.#tell()
  }

  /** STUN arrived. */
  heard(bytes: Uint8Array, from: string): void {
    this.#stun.handleResponse(bytes, from)
    this.#tell()
  }

  tick(): void {
    const now = this.#deps.now()
    if (now < this.#stun.nextAt) return
    for (const { bytes, to } of this.#stun.tick(now)) this.#deps.send(bytes, to)
    this.#tell()
  }

  #tell(): void {
    if (!this.#isAsked) return
    const { hosts, port, receivesAt, report } = this.#deps
    const own = hosts()
      .map((ip) => formatEndpoint(ip, port()))
      .filter(receivesAt)
    const message = {
      type: 'ownAddresses',
      hosts: own.slice(0, MAX_HOSTS),
      mapped: this.#stun.mapped,
      relayed: this.#deps.relayed(),
    } as const
    const told = JSON.stringify(message)
    if (told === this.#told) return
    this.#told = told
    report(message)
  }
}
