/** Gathers server-reflexive and relayed candidates: what STUN and TURN servers say to the socket (RFC 8445, 5.1.1). */
import { randomBytes } from 'node:crypto'
import type { Prefix4 } from '../../../../core/addr.ts'
import type { Clock, Millis } from '../../../../core/clock.ts'
import type { Log } from '../../../../core/log.ts'
import { mayBeHost } from '../endpoints.ts'
import type { FromProcess, ToProcess } from '../protocol.ts'
import { OwnAddresses } from './own-addresses.ts'
import type { PlaneSlot } from './plane-slot.ts'
import { type RelayedBy, type RelayNeed, TurnRelays } from './turn-relays.ts'

export interface CandidateGathererDeps {
  readonly overlay: Prefix4
  /** Of `p2p.listen`. */
  readonly listenHost: string
  readonly clock: Clock
  readonly log: Log
  readonly slot: PlaneSlot
  /** Addresses of this host's interfaces. */
  interfaces(): readonly string[]
  sessions(): {
    needRelays(): RelayNeed
    /** A TURN server of this host leads to `there`, where one of a peer relays, by `address`. */
    relayOpened(address: string, there: string): void
  }
  report(message: FromProcess): void
}

export class CandidateGatherer {
  readonly #addresses: OwnAddresses
  readonly #relays: TurnRelays

  constructor({
    overlay,
    listenHost,
    clock,
    log,
    slot,
    interfaces,
    sessions,
    report,
  }: CandidateGathererDeps) {
    const isAny = listenHost === '::' || listenHost === '0.0.0.0'
    const newTransaction = (): string => randomBytes(12).toString('hex')
    const now = (): Millis => clock.monotonic()
    const send = (bytes: Uint8Array, to: string): void => slot.sendPlain(bytes, to)
    this.#relays = new TurnRelays({
      now,
      wallNow: () => clock.now(),
      newTransaction,
      mayBeRelayed: (endpoint) => mayBeHost(endpoint, overlay),
      mayBeServer: (endpoint) => mayBeHost(endpoint, overlay) && slot.canReach(endpoint),
      knows: (datagram) => slot.knows(datagram),
      needed: () => sessions().needRelays(),
      port: slot,
      log,
      send,
      report,
      opened: (address, there) => sessions().relayOpened(address, there),
      changed: () => this.#addresses.relayedChanged(),
    })
    this.#addresses = new OwnAddresses({
      now,
      newTransaction,
      hosts: () => (isAny ? interfaces() : [listenHost]),
      port: () => slot.port,
      receivesAt: (endpoint) => slot.canReach(endpoint),
      relayed: () => this.#relays.relayed,
      send,
      report,
    })
  }

  get nextAt(): Millis {
    return Math.min(this.#addresses.nextAt, this.#relays.nextAt)
  }

  /** Answers of STUN servers that nothing was asked for, since the process began. */
  get unaskedStun(): number {
    return this.#addresses.unasked
  }

  tick(): void {
    this.#addresses.tick()
    this.#relays.tick()
  }

  /**
   * A new session may need a TURN server in a moment, and so may a person's order to try again: others handle these
   * too.
   * @returns whether the order is for the gatherer alone
   */
  handle(message: ToProcess): boolean {
    if (message.type === 'findAddresses') this.#addresses.order(message)
    else if (message.type === 'useTurn') this.#relays.order(message.servers)
    else {
      if (message.type === 'session') this.#relays.soon()
      else if (message.type === 'probeNow') this.#relays.check()
      return false
    }
    return true
  }

  /** STUN arrived. */
  heard(bytes: Uint8Array, from: string): void {
    if (!this.#relays.heard(bytes, from)) this.#addresses.heard(bytes, from)
  }

  relayedBy(address: string): RelayedBy | undefined {
    return this.#relays.by(address)
  }

  pathLost(): void {
    this.#relays.check()
  }

  networkChanged(): void {
    this.#addresses.networkChanged()
    this.#relays.check()
  }

  /** No gateway is there that could use addresses. What runs through TURN servers goes on. */
  rest(): void {
    this.#addresses.rest()
  }

  /** This process ends. */
  release(): void {
    this.#relays.release()
  }
}
