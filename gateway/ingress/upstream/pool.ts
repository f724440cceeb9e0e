/** Connections to containers: kept for the next request, closed when their container goes. */

import { Agent, type ClientRequestArgs } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Assignment } from '../../../core/api.ts'
import { attachmentKey } from '../../../core/attachment.ts'
import type { Millis } from '../../../core/clock.ts'
import { UpstreamConnection } from './connection.ts'
import { type DialTarget, dial } from './dial.ts'
import type { DialMethod } from './dial-method.ts'
import { IDLE_MS, IdleConnections, MAX_IDLE_PER_CONTAINER } from './idle-connections.ts'
import type { StreamOpener } from './stream-dial.ts'

/**
 * `reuse`: a connection that served before may serve again, for requests that may be sent twice.
 * `fresh`: one that never served. Node's client writes on a kept connection without a look at it, and a server may
 * close an idle one just as a POST is sent: the gateway could not tell whether the POST was executed. IdleConnections
 * look first (docs/decisions/0042-what-is-sent-twice.md).
 * `upgrade`: as fresh, and each direction ends by itself.
 */
export type ConnectionKind = 'reuse' | 'fresh' | 'upgrade'

export interface PoolOptions {
  readonly connectTimeoutMs: Millis
  /** Whether this attachment still has this address, asked before and after each connect. */
  isRegistered(key: string, ip: string): boolean
  /** Asked before each try to connect. */
  dialMethod(ip: string): DialMethod
  /** To other gateways. */
  readonly streams: StreamOpener
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
  readonly open: Set<UpstreamConnection>
  /** By endpoint. */
  readonly idle: Map<string, IdleConnections>
}

type Destination = Pick<DialTarget, 'ip' | 'port' | 'isWanted' | 'onread'>

export class Pool {
  readonly #options: PoolOptions
  readonly #byKey = new Map<string, Connections>()

  constructor(options: PoolOptions) {
    this.#options = options
  }

  /** Only for an attachment that is registered now: its agents go when it is withdrawn. */
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

  /** Closes an upgraded connection with its container: it has left its agent. */
  adopt(assignment: Assignment, socket: Socket): void {
    const upgraded = this.#byKey.get(attachmentKey(assignment))?.upgraded
    if (upgraded === undefined) {
      socket.destroy()
      return
    }
    upgraded.add(socket)
    socket.on('close', () => upgraded.delete(socket))
  }

  /** The container has gone: another may get its address, and requests under way cannot be answered any more. */
  drop(key: string): void {
    const connections = this.#byKey.get(key)
    if (connections === undefined) return
    this.#byKey.delete(key)
    for (const agent of connections.agents.values()) agent.destroy()
    for (const socket of connections.upgraded) socket.destroy()
    // Their users hear of it and find the container gone.
    for (const connection of connections.open) connection.cut()
  }

  /** Connections take another way from now on, and the idle ones are on the old way. */
  dropIdle(key: string): void {
    const connections = this.#byKey.get(key)
    if (connections === undefined) return
    for (const { freeSockets } of connections.agents.values())
      for (const sockets of Object.values(freeSockets)) for (const socket of sockets ?? []) socket.destroy()
    for (const idle of connections.idle.values()) idle.close()
  }

  /** A connection that served before. @returns undefined: none is idle, or none is safe for a request that goes once */
  idleConnection(key: string, endpoint: string, isRepeatable: boolean): UpstreamConnection | undefined {
    return this.#byKey.get(key)?.idle.get(endpoint)?.reserve(performance.now(), isRepeatable)
  }

  /** @throws {DialError} */
  async dialConnection(key: string, kind: 'reuse' | 'fresh', to: Destination): Promise<UpstreamConnection> {
    const connection = new UpstreamConnection(`${to.ip}:${to.port}`, kind === 'reuse')
    const socket = await this.#dial(key, kind, { ...to, onread: connection.onread })
    connection.attach(socket)
    const { open } = this.#of(key)
    open.add(connection)
    socket.on('close', () => open.delete(connection))
    return connection
  }

  /** Idle from now on. @param promisedS how long the container will keep it, if it says so */
  keepConnection(key: string, connection: UpstreamConnection, promisedS?: number): void {
    const connections = this.#byKey.get(key)
    if (connections?.open.has(connection) !== true) {
      connection.destroy()
      return
    }
    let idle = connections.idle.get(connection.endpoint)
    if (idle === undefined) {
      idle = new IdleConnections()
      connections.idle.set(connection.endpoint, idle)
    }
    idle.keep(connection, performance.now(), promisedS)
  }

  /** A connection that served before ended under a request, without a byte of an answer. */
  lostConnection(key: string, connection: UpstreamConnection): void {
    this.#byKey.get(key)?.idle.get(connection.endpoint)?.lost(connection, performance.now())
  }

  /** Closes what has been idle for too long. Called at least once a second. */
  sweep(): void {
    const now = performance.now()
    for (const { idle } of this.#byKey.values())
      for (const [endpoint, connections] of idle) if (connections.sweep(now)) idle.delete(endpoint)
  }

  close(): void {
    for (const key of [...this.#byKey.keys()]) this.drop(key)
  }

  #of(key: string): Connections {
    let connections = this.#byKey.get(key)
    if (connections === undefined) {
      connections = { agents: new Map(), upgraded: new Set(), open: new Set(), idle: new Map() }
      this.#byKey.set(key, connections)
    }
    return connections
  }

  #dial(key: string, kind: ConnectionKind, to: Destination): Promise<Socket> {
    const { connectTimeoutMs, isRegistered, onRetry, streams, dialMethod } = this.#options
    return dial({
      ...to,
      timeoutMs: connectTimeoutMs,
      isWanted: () => to.isWanted() && isRegistered(key, to.ip),
      method: () => dialMethod(to.ip),
      streams,
      allowHalfOpen: kind === 'upgrade',
      isBounded: kind === 'reuse',
      onRetry,
    })
  }
}
