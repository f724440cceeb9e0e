/** Connections of newcomers without a certificate: bounded in number here, and in time by the cluster part. */

import type { TLSSocket } from 'node:tls'
import { clientOf } from '../base/client-of.ts'
import { ConnectionSlots } from '../base/connection-slots.ts'
import type { Metrics } from '../base/metrics.ts'

/** Newcomers at once; members are never refused for their number. */
const MAX_NEWCOMERS = 64
/** Several may share an address behind NAT; strangers at one address leave half of the slots to others. */
const MAX_OF_CLIENT = 32
const EVICTED = 'Newcomers closed because they had not asked yet and others came'

/**
 * Answers a newcomer.
 * @param asked to be called when its whole question is there: it makes no room for others from then on
 */
export type AnswerNewcomer = (socket: TLSSocket, asked: () => void) => void

export class Newcomers {
  readonly #answer: AnswerNewcomer | undefined
  /** They have not asked yet. */
  readonly #slots: ConnectionSlots<TLSSocket>

  /** @param answer undefined: newcomers are refused */
  constructor(answer: AnswerNewcomer | undefined, metrics: Metrics) {
    this.#answer = answer
    const evicted = (): void => metrics.count('flatnet_cluster_newcomers_evicted_total', EVICTED)
    this.#slots = new ConnectionSlots({ max: MAX_NEWCOMERS, maxOfClient: MAX_OF_CLIENT, evicted })
  }

  admit(socket: TLSSocket): void {
    if (this.#answer === undefined) {
      socket.destroy()
      return
    }
    const client = clientOf(socket.remoteAddress)
    this.#slots.enter(client, socket, socket)
    this.#answer(socket, () => this.#slots.leave(client, socket))
  }

  stop(): void {
    this.#slots.closeAll()
  }
}
