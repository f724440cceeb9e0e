/** Asks the router over UDP: from the address that it knows this host by, again until it answers, within a bound. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Millis } from '../../../../core/clock.ts'
import { GIVEN_UP, NO_ANSWER, refusalBy } from './refusal.ts'
import type { Refusal, RouterPlace } from './types.ts'

/** Of PCP and NAT-PMP alike. */
const ROUTER_PORT = 5351
/**
 * RFC 6886, 3.1: 250 ms, doubled each time. It wants nine sends in 64 s; here the fourth one's answer may take 1.25 s,
 * and a router that is slower is asked again after a minute.
 */
const SEND_AT_MS: readonly Millis[] = [0, 250, 750, 1_750]
const WAIT_MS: Millis = 3_000

/**
 * @param read undefined: not the answer to this question
 * @returns `refused`: no answer, and why
 */
export async function askRouter<T>(
  { gateway, ownAddress }: RouterPlace,
  question: Uint8Array,
  read: (bytes: Uint8Array) => T | undefined,
  signal: AbortSignal,
  port = ROUTER_PORT,
): Promise<T | Refusal> {
  const socket = createSocket('udp4')
  const { promise, resolve } = Promise.withResolvers<T | Refusal>()
  const aborted = (): void => resolve(GIVEN_UP)
  socket.on('error', (err) => resolve(refusalBy(err)))
  // Connected below: the kernel then drops what others send, but for what came before, and tells when nothing listens.
  socket.on('message', (bytes, { address }) => {
    const answer = address === gateway ? read(bytes) : undefined
    if (answer !== undefined) resolve(answer)
  })
  signal.addEventListener('abort', aborted)
  if (signal.aborted) aborted()
  let timers: NodeJS.Timeout[] = []
  try {
    socket.bind({ address: ownAddress, port: 0, exclusive: true })
    await Promise.race([once(socket, 'listening'), promise])
    socket.connect(port, gateway)
    await Promise.race([once(socket, 'connect'), promise])
    timers = SEND_AT_MS.map((ms) => setTimeout(() => socket.send(question, () => {}), ms))
    timers.push(setTimeout(() => resolve(NO_ANSWER), WAIT_MS))
    return await promise
  } catch (err) {
    return refusalBy(err)
  } finally {
    for (const timer of timers) clearTimeout(timer)
    signal.removeEventListener('abort', aborted)
    socket.close()
  }
}
