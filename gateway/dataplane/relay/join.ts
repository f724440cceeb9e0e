/** Passes bytes between two streams, as fast as the slower takes them and the pair's rate allows. */

import type { Duplex } from 'node:stream'
import type { Millis } from '../../../core/clock.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { Rate } from './bucket.ts'
import { boundUnread, boundUnsent } from './buffers.ts'
import { RelayLimit } from './limits.ts'

export interface JoinDeps {
  readonly rate: Rate
  readonly scheduler: Scheduler
  passed(bytes: number): void
  /** Once; both streams are destroyed by then. */
  ended(reason: string): void
}

/** @returns how to end it */
export function joinLegs(a: Duplex, b: Duplex, deps: JoinDeps): (reason: string) => void {
  const joined = new JoinedLegs(a, b, deps)
  joined.start()
  return (reason) => joined.end(reason)
}

class JoinedLegs {
  readonly #legs: readonly [Duplex, Duplex]
  readonly #deps: JoinDeps
  #isOver = false
  /** Monotonic, of the last byte. */
  #passedAt: Millis
  #cancelIdle = (): void => {}
  #cancelGoodbye = (): void => {}

  constructor(a: Duplex, b: Duplex, deps: JoinDeps) {
    this.#legs = [a, b]
    this.#deps = deps
    this.#passedAt = deps.scheduler.monotonic()
  }

  start(): void {
    const [a, b] = this.#legs
    for (const leg of this.#legs) {
      boundUnsent(leg)
      boundUnread(leg)
    }
    this.#pass(a, b)
    this.#pass(b, a)
    this.#watch()
    if (this.#legs.some((leg) => leg.destroyed || leg.writableEnded)) this.end('closed by an end')
  }

  end(reason: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelIdle()
    this.#cancelGoodbye()
    for (const leg of this.#legs) leg.destroy()
    this.#deps.ended(reason)
  }

  #pass(from: Duplex, to: Duplex): void {
    this.#passBytes(from, to)
    from.once('end', () => {
      to.end()
      this.#cancelGoodbye()
      const { scheduler } = this.#deps
      this.#cancelGoodbye = scheduler.after(RelayLimit.goodbyeMs, () => this.end('closed by an end'))
      this.#endWhenDone()
    })
    from.once('finish', () => this.#endWhenDone())
    from.once('close', () => this.end('closed by an end'))
    from.on('error', (err) => this.end(err.message))
  }

  #passBytes(from: Duplex, to: Duplex): void {
    const { passed, rate, scheduler } = this.#deps
    let waits = 0
    const goOn = (): void => {
      if (--waits === 0 && !this.#isOver) from.resume()
    }
    from.on('data', (chunk: Buffer) => {
      if (this.#isOver) return
      this.#passedAt = scheduler.monotonic()
      passed(chunk.length)
      const isTaken = to.write(chunk)
      const waitMs = rate.reserve(chunk.length, this.#passedAt)
      if (isTaken && waitMs === 0) return
      from.pause()
      waits = Number(!isTaken) + Number(waitMs > 0)
      if (!isTaken) to.once('drain', goOn)
      if (waitMs > 0) scheduler.after(waitMs, goOn)
    })
  }

  /** What an end closes in order reaches the other one in order. */
  #endWhenDone(): void {
    if (this.#legs.every((leg) => leg.readableEnded && leg.writableFinished)) this.end('closed by an end')
  }

  #watch(): void {
    const { scheduler } = this.#deps
    const left = this.#passedAt + RelayLimit.idleMs - scheduler.monotonic()
    if (left <= 0) this.end('idle')
    else this.#cancelIdle = scheduler.after(left, () => this.#watch())
  }
}
