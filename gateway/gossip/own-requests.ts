/** Requests of this host's clients that travel as messages: which wait, and the answers of the last day. */

import type { Millis } from '../../core/clock.ts'

export interface OwnRequest {
  readonly id: string
  /** Of the message that carries it; its host is `to`. */
  readonly seq: number
  readonly to: number
  readonly method: string
  /** The container's name, for people. */
  readonly target: string
  /** The Host under which the client asked: only there it gets the answer. */
  readonly host: string
  readonly at: Millis
  readonly expires: Millis
  /** Undefined: none yet. */
  readonly answer?: StoredAnswer | undefined
}

export type StoredAnswer =
  | { readonly status: number; readonly headers: readonly string[]; readonly body: string }
  /** `isOwn`: this host's word, which an answer that comes late replaces. */
  | { readonly problem: string; readonly isOwn?: boolean }

export interface OwnDisk {
  load(): readonly OwnRequest[]
  /** Is on disk when it returns. */
  save(request: OwnRequest): void
  remove(id: string): void
}

/** With 64 KiB each 22 MB: the bound of what waits (store.ts) and a day of answers. */
const MAX_REQUESTS = 256

const isOfHost = ({ answer }: OwnRequest): boolean =>
  answer !== undefined && !('problem' in answer && answer.isOwn === true)

export class OwnRequests {
  readonly #disk: OwnDisk
  readonly #byId: Map<string, OwnRequest>

  constructor(disk: OwnDisk) {
    this.#disk = disk
    this.#byId = new Map(disk.load().map((request) => [request.id, request]))
  }

  get isFull(): boolean {
    return this.#byId.size >= MAX_REQUESTS
  }

  get(id: string): OwnRequest | undefined {
    return this.#byId.get(id)
  }

  waiting(): OwnRequest[] {
    return [...this.#byId.values()].filter(({ answer }) => answer === undefined)
  }

  put(request: OwnRequest): void {
    this.#disk.save(request)
    this.#byId.set(request.id, request)
  }

  forget(id: string): void {
    this.#disk.remove(id)
    this.#byId.delete(id)
  }

  /** @param from the host that answers. @returns whether it was waited for */
  answered(from: number, id: string, answer: StoredAnswer, expires: Millis): boolean {
    const request = this.#byId.get(id)
    if (request === undefined || request.to !== from || isOfHost(request)) return false
    this.put({ ...request, answer, expires })
    return true
  }

  /** Forgets answers of yesterday, and tells the client of what never arrived for as long. */
  sweep(now: Millis, lifeMs: Millis): void {
    for (const request of this.#byId.values()) {
      if (request.expires > now) continue
      if (request.answer === undefined) {
        const problem = `no answer of host ${request.to} came in time; it may have executed the request`
        this.put({ ...request, answer: { problem, isOwn: true }, expires: now + lifeMs })
      } else {
        this.forget(request.id)
      }
    }
  }
}
