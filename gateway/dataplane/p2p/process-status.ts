/** Tells whether the P2P process can carry packets: it runs and has its device and its port. */

import type { Millis } from '../../../core/clock.ts'
import type { P2pReason } from '../../paths/escalation/reasons.ts'
import type { ProcessHello } from './process-client.ts'

/** A killed process is back within half a second, a deleted device within milliseconds. */
const GRACE_MS: Millis = 2_000

export class ProcessStatus {
  /** Datagrams without a session, since the process began. */
  strays = 0
  #device: string | undefined
  #udp: ProcessHello['udp'] = { port: 0 }
  #lostAt: Millis = -Infinity
  #deviceLostAt: Millis = -Infinity

  get port(): number {
    return this.#udp.port
  }

  connected({ device, udp }: Pick<ProcessHello, 'device' | 'udp'>): void {
    this.#device = device.problem
    this.#deviceLostAt = -Infinity
    this.#udp = udp
    this.#lostAt = -Infinity
  }

  disconnected(now: Millis): void {
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
