/** Finds the router's UPnP description: asks the router itself and the LAN, and believes the router alone. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Millis } from '../../../../core/clock.ts'
import { locationIn, SEARCH } from './igd.ts'
import { GIVEN_UP, NO_ANSWER, refusalBy } from './refusal.ts'
import type { Refusal, RouterPlace } from './types.ts'

const GROUP = '239.255.255.250'
const PORT = 1900
/** MX says that the router may wait 1 s. */
const SEND_AT_MS: readonly Millis[] = [0, 300, 900]
const WAIT_MS: Millis = 2_500

/**
 * The router is asked at its own address, whose answer a firewall of this host lets in, and by multicast, as some
 * routers answer to that alone.
 * @returns the URL of the description, on the gateway's address
 */
export async function findDescription(
  { gateway, ownAddress }: RouterPlace,
  signal: AbortSignal,
  port = PORT,
): Promise<{ readonly location: string } | Refusal> {
  const socket = createSocket('udp4')
  type Result = Awaited<ReturnType<typeof findDescription>>
  const { promise, resolve } = Promise.withResolvers<Result>()
  let silence = NO_ANSWER
  const aborted = (): void => resolve(GIVEN_UP)
  socket.on('error', (err) => resolve(refusalBy(err)))
  socket.on('message', (bytes, { address }) => {
    if (address !== gateway) return
    const location = locationIn(bytes.toString('latin1'), gateway)
    if (location === '') silence = { refused: 'another host is named in its place' }
    else if (location !== undefined) resolve({ location })
  })
  signal.addEventListener('abort', aborted)
  if (signal.aborted) aborted()
  let timers: NodeJS.Timeout[] = []
  try {
    socket.bind({ address: ownAddress, port: 0, exclusive: true })
    await Promise.race([once(socket, 'listening'), promise])
    socket.setMulticastInterface(ownAddress)
    socket.setMulticastTTL(2)
    timers = SEND_AT_MS.map((ms) =>
      setTimeout(() => {
        // Refused by a port without listener or not: silence says the same.
        for (const to of [gateway, GROUP]) socket.send(SEARCH, port, to, () => {})
      }, ms),
    )
    timers.push(setTimeout(() => resolve(silence), WAIT_MS))
    return await promise
  } catch (err) {
    return refusalBy(err)
  } finally {
    for (const timer of timers) clearTimeout(timer)
    signal.removeEventListener('abort', aborted)
    socket.close()
  }
}
