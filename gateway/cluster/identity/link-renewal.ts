/** Renewal over a control link, for a host that cannot dial the admitting one: it is dialled by it. */

import type { Millis } from '../../../core/clock.ts'
import type { ControlMessage } from '../../links/types.ts'

export interface LinkRenewalDeps {
  send(hostId: number, message: ControlMessage): boolean
  /** On an admitting host. @throws why not */
  renew(hostId: number, requestPem: unknown): Promise<ControlMessage>
}

const ANSWER_MS: Millis = 10_000

interface Pending {
  readonly hostId: number
  answer(message: ControlMessage): void
}

export class LinkRenewal {
  readonly #deps: LinkRenewalDeps
  readonly #pending = new Map<number, Pending>()
  #asked = 0

  constructor(deps: LinkRenewalDeps) {
    this.#deps = deps
  }

  /** @throws {Error} no link, no answer, or the other side's reason */
  async ask(hostId: number, requestPem: string): Promise<{ certPem: string; sealed: unknown }> {
    const id = ++this.#asked
    const { promise, resolve, reject } = Promise.withResolvers<ControlMessage>()
    const timer = setTimeout(() => reject(new Error(`host ${hostId} did not answer`)), ANSWER_MS)
    this.#pending.set(id, { hostId, answer: resolve })
    try {
      if (!this.#deps.send(hostId, { type: 'cluster.renew', id, requestPem })) {
        throw new Error(`there is no link with host ${hostId}`)
      }
      const { certPem, members, reason } = await promise
      if (typeof certPem === 'string') return { certPem, sealed: members }
      throw new Error(`host ${hostId} refuses: ${reason}`)
    } finally {
      clearTimeout(timer)
      this.#pending.delete(id)
    }
  }

  /** `cluster.renewed`: the answer of the admitting host. */
  onAnswer(from: number, message: ControlMessage): void {
    const pending = this.#pending.get(Number(message['id']))
    if (pending?.hostId === from) pending.answer(message)
  }

  /** `cluster.renew`: a peer asks this host for a certificate. */
  async onRequest(from: number, { id, requestPem }: ControlMessage): Promise<void> {
    const answer = await this.#deps
      .renew(from, requestPem)
      .catch((err: unknown) => ({ reason: err instanceof Error ? err.message : String(err) }))
    this.#deps.send(from, { ...answer, type: 'cluster.renewed', id })
  }
}
