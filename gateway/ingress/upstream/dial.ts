/**
 * Connects to a container, in up to three tries within five seconds.
 *
 * Nothing has been sent by then, so trying again is safe for every request.
 */

import { connect, type OnReadOpts, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Millis } from '../../../core/clock.ts'
import { hasCode } from '../../../core/errors.ts'
import { boundUnacknowledged } from '../../links/liveness.ts'
import { StreamError } from '../../links/streams/stream-frame.ts'
import type { DialMethod } from './dial-method.ts'
import { connectByStream, type StreamOpener } from './stream-dial.ts'

export interface DialTarget {
  readonly ip: string
  readonly port: number
  /** Of one try. */
  readonly timeoutMs: Millis
  /** False once the client or the container has gone: another container may have the address by now. */
  isWanted(): boolean
  /** Asked before each try. */
  method(): DialMethod
  /** For the method `stream`. */
  readonly streams: StreamOpener
  /** For upgraded connections, where each direction ends by itself. */
  readonly allowHalfOpen: boolean
  /**
   * The connection ends with ETIMEDOUT when the other side's kernel acknowledges nothing for UNACKNOWLEDGED_MS. It
   * acknowledges small requests at once, read or not. Not for large bodies: their reader may pause for any time.
   */
  readonly isBounded?: boolean
  /** Where bytes are read into. A connection through another gateway does not use it. */
  readonly onread?: OnReadOpts
  onRetry(): void
}

export type DialReason = 'refused' | 'timeout' | 'unreachable' | 'gone'

export class DialError extends Error {
  override readonly name = 'DialError'
  readonly reason: DialReason
  /** Another try would end the same way. */
  readonly isFinal: boolean
  constructor(reason: DialReason, options?: ErrorOptions, isFinal = reason === 'gone') {
    super(`connect: ${reason}`, options)
    this.reason = reason
    this.isFinal = isFinal
  }
}

/** Before the second and the third try: long enough for a server that restarts, short enough for a person. */
const WAITS_MS: readonly Millis[] = [200, 800]
/**
 * After a path has gone, TCP sends again at 0.2, 0.6, 1.4, 3 and 6.2 s: the last of these still finds the other path,
 * which docs/architecture/paths.md#first-switch has in place after 3 s. The kernel's own bound is 15 minutes.
 */
export const UNACKNOWLEDGED_MS: Millis = 8000

/** How often a missing path is asked for. */
const ASK_MS: Millis = 50

/** For all tries and waits. */
const DEADLINE_MS: Millis = 5000

/** @throws {DialError} after the last try, with its reason */
export async function dial(target: DialTarget): Promise<Socket> {
  const endAt = performance.now() + DEADLINE_MS
  for (let tried = 0; ; tried++) {
    const method = await methodFor(target, endAt)
    if (!target.isWanted()) throw new DialError('gone')
    try {
      const socket = await connectBy(target, method, endAt - performance.now())
      if (target.isWanted()) return socket
      socket.destroy()
      throw new DialError('gone')
    } catch (err) {
      const wait = WAITS_MS[tried]
      const isOver = wait === undefined || performance.now() + wait >= endAt
      if (isOver || (err instanceof DialError && err.isFinal)) throw err
      await sleep(wait)
      target.onRetry()
    }
  }
}

/** Waits while there is no path and one may come; that does not count as a try. */
async function methodFor(target: DialTarget, endAt: Millis): Promise<DialMethod> {
  for (;;) {
    const method = target.method()
    const isDecided = method.kind !== 'none' || !method.mayCome
    if (isDecided || !target.isWanted() || performance.now() + ASK_MS >= endAt) return method
    await sleep(ASK_MS)
  }
}

async function connectBy(target: DialTarget, method: DialMethod, remainingMs: Millis): Promise<Socket> {
  if (method.kind === 'none') throw new DialError('unreachable', { cause: new Error(method.reason) }, true)
  const socket =
    method.kind === 'kernel'
      ? await connectOnce(target, Math.min(target.timeoutMs, remainingMs))
      : await connectOver(target, method.hostId, remainingMs)
  if (target.isBounded === true) boundUnacknowledged(socket, UNACKNOWLEDGED_MS)
  return socket
}

async function connectOver(target: DialTarget, hostId: number, remainingMs: Millis): Promise<Socket> {
  try {
    return await connectByStream(target.streams, { ...target, hostId, remainingMs })
  } catch (err) {
    if (!(err instanceof StreamError)) throw err
    const cause = new Error(`by the gateway of host ${hostId}: ${err.reason}`, { cause: err })
    throw new DialError(reasonOfRefusal(err), { cause })
  }
}

/** Reports what the peer's gateway met as if this one had met it. */
function reasonOfRefusal({ isRefusal, reason }: StreamError): DialReason {
  const known = REFUSALS.find((r) => r === reason)
  return isRefusal && known !== undefined ? known : 'unreachable'
}

const REFUSALS: readonly DialReason[] = ['refused', 'timeout', 'gone']

/** One try, by the kernel's routes. @throws {DialError} */
export function connectOnce(
  { ip, port, allowHalfOpen, onread }: Pick<DialTarget, 'ip' | 'port' | 'allowHalfOpen' | 'onread'>,
  timeoutMs: Millis,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: ip,
      port,
      allowHalfOpen,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      ...(onread !== undefined && { onread }),
    })
    const timer = setTimeout(() => fail(new DialError('timeout')), Math.max(1, timeoutMs))
    const fail = (err: DialError): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(err)
    }
    const onError = (cause: Error): void => fail(new DialError(reasonOf(cause), { cause }))
    socket.once('error', onError)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', onError)
      resolve(socket)
    })
  })
}

function reasonOf(err: unknown): DialReason {
  if (hasCode(err, 'ETIMEDOUT')) return 'timeout'
  // EADDRNOTAVAIL, EMFILE and the like are faults of this host; the container is out of reach all the same.
  return hasCode(err, 'ECONNREFUSED', 'ECONNRESET') ? 'refused' : 'unreachable'
}
