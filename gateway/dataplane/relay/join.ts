/** Passes bytes between two streams, as fast as the slower takes them and the pair may have them, and looks at none. */

import type { Duplex } from 'node:stream'
import type { Scheduler } from '../../base/scheduler.ts'
import type { TokenBucket } from './bucket.ts'
import { boundUnread, boundUnsent } from './buffers.ts'
import { RelayLimit } from './limits.ts'

export interface JoinDeps {
  readonly bucket: TokenBucket
  readonly scheduler: Scheduler
  passed(bytes: number): void
  /** Once; both streams are destroyed by then. */
  ended(reason: string): void
}

/** @returns how to end it */
export function joinLegs(a: Duplex, b: Duplex, deps: JoinDeps): (reason: string) => void {
  const { scheduler } = deps
  let isOver = false
  let heardAt = scheduler.monotonic()
  let cancelIdle = (): void => {}
  let cancelGoodbye = (): void => {}

  const end = (reason: string): void => {
    if (isOver) return
    isOver = true
    cancelIdle()
    cancelGoodbye()
    a.destroy()
    b.destroy()
    deps.ended(reason)
  }

  /** What an end closes in order reaches the other one in order. */
  const endWhenDone = (): void => {
    if ([a, b].every((leg) => leg.readableEnded && leg.writableFinished)) end('closed by an end')
  }

  const watch = (): void => {
    const left = heardAt + RelayLimit.idleMs - scheduler.monotonic()
    if (left <= 0) end('idle')
    else cancelIdle = scheduler.after(left, watch)
  }

  const pass = (from: Duplex, to: Duplex): void => {
    let waits = 0
    const goOn = (): void => {
      if (--waits === 0 && !isOver) from.resume()
    }
    from.on('data', (chunk: Buffer) => {
      if (isOver) return
      heardAt = scheduler.monotonic()
      deps.passed(chunk.length)
      const isTaken = to.write(chunk)
      const waitMs = deps.bucket.reserve(chunk.length, heardAt)
      if (isTaken && waitMs === 0) return
      from.pause()
      waits = Number(!isTaken) + Number(waitMs > 0)
      if (!isTaken) to.once('drain', goOn)
      if (waitMs > 0) scheduler.after(waitMs, goOn)
    })
    from.once('end', () => {
      to.end()
      cancelGoodbye()
      cancelGoodbye = scheduler.after(RelayLimit.goodbyeMs, () => end('closed by an end'))
      endWhenDone()
    })
    from.once('finish', endWhenDone)
    from.once('close', () => end('closed by an end'))
    from.on('error', (err) => end(err.message))
  }

  for (const leg of [a, b]) {
    boundUnsent(leg)
    boundUnread(leg)
  }
  pass(a, b)
  pass(b, a)
  watch()
  if (a.destroyed || b.destroyed || a.writableEnded || b.writableEnded) end('closed by an end')
  return end
}
