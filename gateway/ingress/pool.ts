/** Connections to containers: kept for the next request within bounds, and gone the moment their container is. */

import { Agent, type ClientRequestArgs } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Assignment } from '../../core/api.ts'
import { attachmentKey } from '../../core/attachment.ts'
import type { Millis } from '../../core/clock.ts'
import type { Streams } from '../peers/streams.ts'
import { type DialTarget, dial } from './dial.ts'
import type { Way } from './way.ts'
import { Buffers, Wire } from './wire.ts'

/**
 * `reuse`: a connection that served before may serve again, for requests that may be sent twice.
 * `fresh`: one connection, one request: a server may close an idle connection just as a POST is sent on it, and
 * nobody can tell whether the POST was acted on (facts/paths.md 2.4).
 * `upgrade`: as fresh, and each direction ends by itself.
 */
export type ConnectionKind = 'reuse' | 'fresh' | 'upgrade'

/** Below the 5 s after which a Node server, the most impatient of the usual ones, closes idle connections. */
const IDLE_MS: Millis = 4000
/** With 32 clients, 8 gave 2.8k requests/s, as the rest was dialled anew each time; 64 give 6.3k (2 busy cores). They last IDLE_MS. */
const MAX_IDLE_PER_CONTAINER = 64

export interface PoolOptions {
  readonly connectTimeoutMs: Millis
  /** Whether this attachment still has this address, asked before and after each connect. */
  isRegistered(key: string, ip: string): boolean
  /** Asked before each try to connect. */
  wayTo(ip: string): Way
  /** To other gateways; undefined outside of a cluster. */
  streams(): Streams | undefined
  onRetry(): void
}

/** What a request adds to the options that Node passes through to createConnection. */
export interface DialOptions {
  /** False once the client has gone. */
  isWanted(): boolean
}

type Dial = (ip: string, port: number, isWanted: () => boolean) => Promise<Socket>

class ContainerAgent extends Agent {
  readonly #dial: Dial

  constructor(kind: ConnectionKind, dialContainer: Dial) {
    super(
      kind === 'reuse'
        ? { keepAlive: true, maxFreeSockets: MAX_IDLE_PER_CONTAINER, timeout: IDLE_MS, scheduling: 'lifo' }
        : { keepAlive: false },
    )
    this.#dial = dialContainer
  }

  override createConnection(
    options: ClientRequestArgs & Partial<DialOptions>,
    created: (err: Error | null, stream: Duplex) => void = () => {},
  ): undefined {
    this.#dial(String(options.host), Number(options.port), options.isWanted ?? (() => true)).then(
      (socket) => created(null, socket),
      // Node's callback takes the error alone; its type has no room for that.
      (err: Error) => (created as (err: Error) => void)(err),
    )
  }
}

interface Connections {
  readonly agents: Map<ConnectionKind, ContainerAgent>
  readonly upgraded: Set<Socket>
  readonly wires: Set<Wire>
  /** Of wires; by endpoint, the last used last. */
  readonly idle: Map<string, Wire[]>
}

type Destination = Pick<DialTarget, 'ip' | 'port' | 'isWanted' | 'onread'>

export class Pool {
  readonly #options: PoolOptions
  readonly #byKey = new Map<string, Connections>()
  readonly #buffers = new Buffers()

  constructor(options: PoolOptions) {
    this.#options = options
  }

  /** Only for an attachment that is registered now: what is made for it goes when it is withdrawn. */
  agent(assignment: Assignment, kind: ConnectionKind): Agent {
    const key = attachmentKey(assignment)
    const { agents } = this.#of(key)
    let agent = agents.get(kind)
    if (agent === undefined) {
      agent = new ContainerAgent(kind, (ip, port, isWanted) => this.#dial(key, kind, { ip, port, isWanted }))
      agents.set(kind, agent)
    }
    return agent
  }

  /** An upgraded connection has left its agent, and must go with its container all the same. */
  adopt(assignment: Assignment, socket: Socket): void {
    const upgraded = this.#byKey.get(attachmentKey(assignment))?.upgraded
    if (upgraded === undefined) {
      socket.destroy()
      return
    }
    upgraded.add(socket)
    socket.on('close', () => upgraded.delete(socket))
  }

  /** Its address may be given to another container; what is still under way could not be answered any more. */
  drop(key: string): void {
    const connections = this.#byKey.get(key)
    if (connections === undefined) return
    this.#byKey.delete(key)
    for (const agent of connections.agents.values()) agent.destroy()
    for (const socket of connections.upgraded) socket.destroy()
    // Their users hear of it, and find the container gone.
    for (const wire of connections.wires) wire.cut()
  }

  /** Its connections go another way from now on: those that are idle stand on the old one. */
  dropIdle(key: string): void {
    const connections = this.#byKey.get(key)
    if (connections === undefined) return
    for (const { freeSockets } of connections.agents.values())
      for (const sockets of Object.values(freeSockets)) for (const socket of sockets ?? []) socket.destroy()
    for (const wires of connections.idle.values()) for (const wire of wires) wire.destroy()
    connections.idle.clear()
  }

  /** A connection that served before, for a request that may be sent twice; undefined when none is idle. */
  idleWire(key: string, endpoint: string): Wire | undefined {
    const idle = this.#byKey.get(key)?.idle.get(endpoint)
    for (let wire = idle?.pop(); wire !== undefined; wire = idle?.pop()) {
      if (wire.isUsable && performance.now() - wire.idleSince < IDLE_MS) return wire
      wire.destroy()
    }
    return undefined
  }

  /** @throws {DialError} */
  async dialWire(key: string, kind: 'reuse' | 'fresh', to: Destination): Promise<Wire> {
    const wire = new Wire(`${to.ip}:${to.port}`, this.#buffers)
    const socket = await this.#dial(key, kind, { ...to, onread: wire.onread })
    wire.attach(socket)
    const { wires } = this.#of(key)
    wires.add(wire)
    socket.on('close', () => wires.delete(wire))
    return wire
  }

  /** Idle from now on. */
  keepWire(key: string, wire: Wire): void {
    const connections = this.#byKey.get(key)
    wire.release()
    if (connections?.wires.has(wire) !== true) {
      wire.destroy()
      return
    }
    let idle = connections.idle.get(wire.endpoint)
    if (idle === undefined) {
      idle = []
      connections.idle.set(wire.endpoint, idle)
    }
    if (idle.length >= MAX_IDLE_PER_CONTAINER) wire.destroy()
    else {
      wire.idleSince = performance.now()
      idle.push(wire)
    }
  }

  /** Closes what has been idle for too long; to be called every second or so. */
  sweep(): void {
    const before = performance.now() - IDLE_MS
    for (const { idle } of this.#byKey.values()) {
      for (const [endpoint, wires] of idle) {
        // Last used last: what is to go stands in front.
        const keep = wires.findIndex((w) => w.idleSince > before && w.isUsable)
        for (const wire of wires.splice(0, keep < 0 ? wires.length : keep)) wire.destroy()
        if (wires.length === 0) idle.delete(endpoint)
      }
    }
  }

  close(): void {
    for (const key of [...this.#byKey.keys()]) this.drop(key)
  }

  #of(key: string): Connections {
    let connections = this.#byKey.get(key)
    if (connections === undefined) {
      connections = { agents: new Map(), upgraded: new Set(), wires: new Set(), idle: new Map() }
      this.#byKey.set(key, connections)
    }
    return connections
  }

  #dial(key: string, kind: ConnectionKind, to: Destination): Promise<Socket> {
    const { connectTimeoutMs, isRegistered, onRetry, streams, wayTo } = this.#options
    return dial({
      ...to,
      timeoutMs: connectTimeoutMs,
      isWanted: () => to.isWanted() && isRegistered(key, to.ip),
      way: () => wayTo(to.ip),
      streams,
      allowHalfOpen: kind === 'upgrade',
      isBodiless: kind === 'reuse',
      onRetry,
    })
  }
}
