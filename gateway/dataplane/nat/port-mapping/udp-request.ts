/** Sends a request to the router by UDP from the address it knows this host by, and retransmits within a bound. */

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Millis } from '../../../../core/clock.ts'
import { GIVEN_UP, refusalBy } from './refusal.ts'
import type { Refusal, RouterPlace } from './types.ts'

export interface UdpRequest<T> {
  /** When the request is sent, and sent again. */
  readonly sendAtMs: readonly Millis[]
  readonly waitMs: Millis
  /** Of a bound socket; when it resolves, the socket may send. */
  prepare(socket: Socket): Promise<unknown>
  send(socket: Socket): void
  /** @returns undefined: not the answer to this request */
  read(bytes: Buffer, address: string): T | undefined
  /** After `waitMs` without an answer. */
  silence(): Refusal
}

/** @returns `refused`: no answer, and why */
export async function requestByUdp<T>(
  { ownAddress }: Pick<RouterPlace, 'ownAddress'>,
  { prepare, read, send, sendAtMs, silence, waitMs }: UdpRequest<T>,
  signal: AbortSignal,
): Promise<T | Refusal> {
  const socket = createSocket('udp4')
  const { promise, resolve } = Promise.withResolvers<T | Refusal>()
  const aborted = (): void => resolve(GIVEN_UP)
  socket.on('error', (err) => resolve(refusalBy(err)))
  socket.on('message', (bytes, { address }) => {
    const answer = read(bytes, address)
    if (answer !== undefined) resolve(answer)
  })
  signal.addEventListener('abort', aborted)
  if (signal.aborted) aborted()
  let timers: NodeJS.Timeout[] = []
  try {
    socket.bind({ address: ownAddress, port: 0, exclusive: true })
    await Promise.race([once(socket, 'listening'), promise])
    await Promise.race([prepare(socket), promise])
    timers = sendAtMs.map((ms) => setTimeout(() => send(socket), ms))
    timers.push(setTimeout(() => resolve(silence()), waitMs))
    return await promise
  } catch (err) {
    return refusalBy(err)
  } finally {
    for (const timer of timers) clearTimeout(timer)
    signal.removeEventListener('abort', aborted)
    socket.close()
  }
}
