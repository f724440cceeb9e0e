/** Asks the router by PCP or NAT-PMP, and hears the router alone. */

import { once } from 'node:events'
import type { Millis } from '../../../../core/clock.ts'
import { NO_ANSWER } from './refusal.ts'
import type { Refusal, RouterPlace } from './types.ts'
import { requestByUdp } from './udp-request.ts'

/** Of PCP and NAT-PMP alike. */
const ROUTER_PORT = 5351
/**
 * RFC 6886, 3.1: 250 ms, doubled each time. It wants nine sends in 64 s; here the fourth one's answer may take 1.25 s,
 * and a router that is slower is asked again after a minute.
 */
const SEND_AT_MS: readonly Millis[] = [0, 250, 750, 1_750]
const WAIT_MS: Millis = 3_000

/**
 * @param read undefined: not the answer to this request
 * @returns `refused`: no answer, and why
 */
export function askRouter<T>(
  place: RouterPlace,
  request: Uint8Array,
  read: (bytes: Uint8Array) => T | undefined,
  signal: AbortSignal,
  port = ROUTER_PORT,
): Promise<T | Refusal> {
  const { gateway } = place
  return requestByUdp<T>(
    place,
    {
      sendAtMs: SEND_AT_MS,
      waitMs: WAIT_MS,
      // The kernel then drops what others send, but for what came before, and tells when nothing listens.
      prepare(socket) {
        socket.connect(port, gateway)
        return once(socket, 'connect')
      },
      send: (socket) => socket.send(request, () => {}),
      read: (bytes, address) => (address === gateway ? read(bytes) : undefined),
      silence: () => NO_ANSWER,
    },
    signal,
  )
}
