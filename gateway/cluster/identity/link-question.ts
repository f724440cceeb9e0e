/** A question to another host over its control link and the answer: for what a host cannot dial the other one for. */

import type { Millis } from '../../../core/clock.ts'
import type { ControlMessage } from '../../links/types.ts'

export interface LinkQuestionDeps {
  /** Types of the messages, e.g. `cluster.renew` and `cluster.renewed`. */
  readonly question: string
  readonly answer: string
  send(hostId: number, message: ControlMessage): boolean
  /** On the host that is asked. @throws why not */
  answerTo(hostId: number, message: ControlMessage): Promise<Readonly<Record<string, unknown>>>
}

const ANSWER_MS: Millis = 10_000

interface Pending {
  readonly hostId: number
  answer(message: ControlMessage): void
}

export class LinkQuestion {
  readonly #deps: LinkQuestionDeps
  readonly #pending = new Map<number, Pending>()
  #asked = 0

  constructor(deps: LinkQuestionDeps) {
    this.#deps = deps
  }

  /** @throws {Error} no link, no answer, or the other side's reason */
  async ask(hostId: number, fields: Readonly<Record<string, unknown>>): Promise<ControlMessage> {
    const id = ++this.#asked
    const { promise, resolve, reject } = Promise.withResolvers<ControlMessage>()
    const timer = setTimeout(() => reject(new Error(`host ${hostId} did not answer`)), ANSWER_MS)
    this.#pending.set(id, { hostId, answer: resolve })
    try {
      if (!this.#deps.send(hostId, { ...fields, type: this.#deps.question, id })) {
        throw new Error(`there is no link with host ${hostId}`)
      }
      const answer = await promise
      if (typeof answer['certPem'] === 'string') return answer
      throw new Error(`host ${hostId} refuses: ${answer['reason']}`)
    } finally {
      clearTimeout(timer)
      this.#pending.delete(id)
    }
  }

  /** The answer of the host that was asked. */
  onAnswer(from: number, message: ControlMessage): void {
    const pending = this.#pending.get(Number(message['id']))
    if (pending?.hostId === from) pending.answer(message)
  }

  /** A peer asks this host for a certificate. */
  async onQuestion(from: number, message: ControlMessage): Promise<void> {
    const answer = await this.#deps
      .answerTo(from, message)
      .catch((err: unknown) => ({ reason: err instanceof Error ? err.message : String(err) }))
    this.#deps.send(from, { ...answer, type: this.#deps.answer, id: message['id'] })
  }
}
