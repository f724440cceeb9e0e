/** Finds the router's UPnP description: asks the router itself and the LAN, and believes the router alone. */

import type { Millis } from '../../../../core/clock.ts'
import { locationIn, SEARCH } from './igd.ts'
import { NO_ANSWER } from './refusal.ts'
import type { Refusal, RouterPlace } from './types.ts'
import { requestByUdp } from './udp-request.ts'

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
export function findDescription(
  place: RouterPlace,
  signal: AbortSignal,
  port = PORT,
): Promise<{ readonly location: string } | Refusal> {
  const { gateway, ownAddress } = place
  let silence = NO_ANSWER
  return requestByUdp<{ readonly location: string }>(
    place,
    {
      sendAtMs: SEND_AT_MS,
      waitMs: WAIT_MS,
      async prepare(socket) {
        socket.setMulticastInterface(ownAddress)
        socket.setMulticastTTL(2)
      },
      send(socket) {
        // Refused by a port without listener or not: silence says the same.
        for (const to of [gateway, GROUP]) socket.send(SEARCH, port, to, () => {})
      },
      read(bytes, address) {
        if (address !== gateway) return undefined
        const location = locationIn(bytes.toString('latin1'), gateway)
        if (location === '') silence = { refused: 'another host is named in its place' }
        return location === undefined || location === '' ? undefined : { location }
      },
      silence: () => silence,
    },
    signal,
  )
}
