/** Asks STUN servers again and again how they see one socket, with the retransmissions of RFC 8489. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { ipBytes, parseEndpoint } from '../p2p/process/endpoint.ts'
import { decodeStun, encodeStun } from './stun.ts'

/**
 * RFC 8489, 6.2.1: at first 0.5 s, doubled each time; after the last one 16 times as long. 5 sends instead of 7: the
 * transaction has failed after 15.5 s, before the next one is due.
 */
const RTO_MS: Millis = 500
const SENDS = 5
const LAST_WAIT_MS: Millis = 16 * RTO_MS
/** Ta of RFC 8445, 14.2, which wants at least 5 ms: some routers drop flows that begin all at once. */
const PACE_MS: Millis = 20

export interface StunDatagram {
  readonly to: string
  readonly bytes: Uint8Array
}

export interface MappedAddress {
  readonly server: string
  readonly address: string
}

interface Transaction {
  readonly id: string
  sends: number
  /** When to send again, or to give up. */
  nextAt: Millis
}

interface Server {
  readonly address: string
  /** When the next request is due. */
  dueAt: Millis
  /** When the last transaction began. */
  startedAt?: Millis
  transaction?: Transaction | undefined
  /** Its response may come twice, as the request may have been sent twice. */
  closed?: string | undefined
  mapped: string | undefined
}

export class StunClient {
  readonly #newTransaction: () => string
  #servers = new Map<string, Server>()
  #unasked = 0
  #everyMs: Millis = Number.POSITIVE_INFINITY

  /** @param newTransaction 24 random digits of hex: who cannot guess them cannot answer */
  constructor(newTransaction: () => string) {
    this.#newTransaction = newTransaction
  }

  /** Asks in the order given. What servers that stay have answered is kept. */
  useServers(servers: readonly string[], everyMs: Millis, now: Millis): void {
    const wanted = new Set(servers.map(canonical).filter((server) => server !== undefined))
    const before = this.#servers
    this.#everyMs = everyMs
    this.#servers = new Map()
    let startAt = now
    for (const address of wanted) {
      const known = before.get(address)
      // Never in the past: the loop would take that for a time in which it stood still.
      const dueAt = Math.max(startAt, (known?.startedAt ?? Number.NEGATIVE_INFINITY) + everyMs)
      this.#servers.set(address, { mapped: undefined, ...known, address, dueAt })
      if (dueAt === startAt) startAt += PACE_MS
    }
  }

  /** The network of this host changed: what the servers said may be wrong, and is kept until they answer or fail to. */
  refresh(now: Millis): void {
    let startAt = now
    for (const server of this.#servers.values()) {
      server.transaction = undefined
      server.dueAt = startAt
      startAt += PACE_MS
    }
  }

  /** When `tick` has something to do. */
  get nextAt(): Millis {
    let at = Number.POSITIVE_INFINITY
    for (const { transaction, dueAt } of this.#servers.values())
      at = Math.min(at, transaction?.nextAt ?? dueAt)
    return at
  }

  tick(now: Millis): StunDatagram[] {
    return [...this.#servers.values()].flatMap((server) => this.#step(server, now) ?? [])
  }

  /** Only a response of the asked server to its open transaction counts: its address alone is easily forged. */
  handleResponse(bytes: Uint8Array, from: string): void {
    const message = decodeStun(bytes)
    const server = this.#servers.get(from)
    if (message?.kind === 'request') return
    if (message === undefined || server === undefined) this.#unasked++
    else if (server.transaction?.id === message.transaction)
      this.#close(server, message.kind === 'response' ? message.mapped : undefined)
    else if (server.closed !== message.transaction) this.#unasked++
  }

  /** How many responses belonged to no transaction of this host, or could not be read. */
  get unasked(): number {
    return this.#unasked
  }

  /** Of servers that answered their last request, in the order in which they were given. */
  get mapped(): MappedAddress[] {
    return [...this.#servers.values()].flatMap(({ address: server, mapped }) =>
      mapped === undefined ? [] : [{ server, address: mapped }],
    )
  }

  #step(server: Server, now: Millis): StunDatagram | undefined {
    const { transaction, dueAt } = server
    if (now < (transaction?.nextAt ?? dueAt)) return undefined
    if (transaction === undefined) {
      server.startedAt = now
      server.transaction = { id: this.#newTransaction(), sends: 0, nextAt: now }
    } else if (transaction.sends >= SENDS) {
      this.#close(server, undefined)
      return undefined
    }
    return this.#send(server, now)
  }

  #send({ address: to, transaction }: Server, now: Millis): StunDatagram | undefined {
    if (transaction === undefined) return undefined
    transaction.sends++
    transaction.nextAt =
      now + (transaction.sends < SENDS ? RTO_MS * 2 ** (transaction.sends - 1) : LAST_WAIT_MS)
    return { to, bytes: encodeStun({ kind: 'request', transaction: transaction.id }) }
  }

  #close(server: Server, mapped: string | undefined): void {
    server.dueAt = (server.startedAt ?? 0) + this.#everyMs
    server.closed = server.transaction?.id
    server.transaction = undefined
    server.mapped = mapped
  }
}

/** As sockets name it: `[2001:db8:0::1]:7443` is `[2001:db8::1]:7443`. */
function canonical(endpoint: string): string | undefined {
  const parsed = parseEndpoint(endpoint)
  if (parsed === undefined) return undefined
  const ip = ipBytes(parsed.ip)
  return parsed.ip.byteLength === 4 ? `${ip}:${parsed.port}` : `[${ip}]:${parsed.port}`
}
