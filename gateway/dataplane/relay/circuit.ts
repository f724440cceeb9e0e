/** One connection of a pair in the gateway between them: first a reserved place, then two joined legs. */

import type { Duplex } from 'node:stream'
import type { Rate } from './bucket.ts'
import { type JoinDeps, joinLegs } from './join.ts'

export class Circuit {
  /** The end that asked for it. */
  readonly from: number
  readonly to: number
  readonly #deps: Omit<JoinDeps, 'rate'>
  #endLegs: ((reason: string) => void) | undefined
  #ended: string | undefined
  #hasBegun = false

  constructor(from: number, to: number, deps: Omit<JoinDeps, 'rate'>) {
    this.from = from
    this.to = to
    this.#deps = deps
  }

  /** Why it ended; undefined: it has not. */
  get ended(): string | undefined {
    return this.#ended
  }

  /** Whether it ever had both legs. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Not after its end. */
  carry(a: Duplex, b: Duplex, rate: Rate): void {
    this.#hasBegun = true
    this.#endLegs = joinLegs(a, b, { ...this.#deps, rate, ended: (reason) => this.end(reason) })
  }

  /** Idempotent. */
  end(reason: string): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#endLegs?.(reason)
    this.#deps.ended(reason)
  }
}
