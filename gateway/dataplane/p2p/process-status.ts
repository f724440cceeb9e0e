/** Tells whether the P2P process can carry packets: it runs and has its device and its port. */

import type { Millis } from '../../../core/clock.ts'
import type { P2pReason } from '../../paths/escalation/reasons.ts'
import type { ProcessHello } from './process-client.ts'
import type { TurnStatus } from './turn-servers.ts'

/** A killed process is back within half a second, a deleted device within milliseconds. */
const GRACE_MS: Millis = 2_000

/** Of the process that runs, as `GET /v1/status` shows it. */
export interface P2pProcessStatus {
  readonly pid: number
  /** Of its executable, which may be older than the gateway's. */
  readonly version: string
  /** Where UDP is received. */
  readonly port: number
  /** UDP segmentation by the kernel when it sends and receives, and of packets for containers. */
  readonly offloads: { readonly gso: boolean; readonly gro: boolean; readonly uso: boolean }
  /** Servers of paths.turn; absent: none is configured. */
  readonly turn?: readonly TurnStatus[]
}

export class ProcessStatus {
  /** Datagrams without a session, since the process began. */
  strays = 0
  /** Answers of STUN servers that nothing was asked for, since the process began. */
  unaskedStun = 0
  #device: string | undefined
  #udp: ProcessHello['udp'] = { port: 0 }
  #hello: Pick<ProcessHello, 'pid' | 'version' | 'features'> | undefined
  #lostAt: Millis = -Infinity
  #deviceLostAt: Millis = -Infinity

  get port(): number {
    return this.#udp.port
  }

  /** Null: none is connected. */
  get process(): P2pProcessStatus | null {
    if (this.#hello === undefined) return null
    const { pid, version, features } = this.#hello
    const { gso, gro, uso } = features
    return { pid, version, port: this.port, offloads: { gso, gro, uso } }
  }

  connected(hello: Pick<ProcessHello, 'device' | 'udp' | 'pid' | 'version' | 'features'>): void {
    const { device, udp } = hello
    this.#hello = hello
    this.#device = device.problem
    this.#deviceLostAt = -Infinity
    this.#udp = udp
    this.#lostAt = -Infinity
  }

  disconnected(now: Millis): void {
    this.#hello = undefined
    this.#lostAt = now
  }

  device(problem: string | undefined, now: Millis): void {
    if (problem !== undefined && this.#device === undefined) this.#deviceLostAt = now
    this.#device = problem
  }

  udp(udp: ProcessHello['udp']): void {
    this.#udp = udp
  }

  /** @param problem why the process is not connected; undefined: it is connected */
  obstacle(problem: string | undefined, now: Millis): P2pReason | undefined {
    if (problem !== undefined)
      return now - this.#lostAt < GRACE_MS ? undefined : { code: 'no process', detail: problem }
    if (this.#device !== undefined && now - this.#deviceLostAt >= GRACE_MS)
      return { code: 'no device', detail: this.#device }
    return this.#udp.problem === undefined ? undefined : { code: 'no UDP', detail: this.#udp.problem }
  }
}
