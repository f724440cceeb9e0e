/** Finds out how a NAT maps and filters, by the tests of RFC 5780. */

import type { Millis } from '../../../core/clock.ts'
import type { StunRequester, StunResponse } from './stun-socket.ts'

/** RFC 4787, 4.1 and 5: whether it depends on nothing, on the other's address, or on address and port. */
export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

export interface NatBehaviour {
  /** This host's address as the server sees it. */
  readonly mapped: string
  readonly rttMs: Millis
  /** Undefined: the server has one address only (no OTHER-ADDRESS), or its second one did not answer. */
  readonly mapping?: Dependence | undefined
  readonly filtering?: Dependence | undefined
  /** Whether a datagram to the own mapped address comes back in. */
  readonly hairpin: boolean
}

/**
 * @param socket a socket that has sent nothing yet: what it has sent to decides what a NAT lets in
 * @param silentMs how long to wait for an answer that a NAT may drop
 * @returns undefined: the server does not answer
 */
export async function natBehaviour(
  socket: StunRequester,
  server: string,
  silentMs: Millis = 1_200,
): Promise<NatBehaviour | undefined> {
  const first = await socket.request(server)
  const mapped = first?.message.mapped
  if (first === undefined || mapped === undefined) return undefined
  const { other } = first.message
  // Filtering first: the requests about mapping go to the server's other addresses, and would let them in.
  const filtering = other === undefined ? undefined : await filteringOf(socket, server, silentMs)
  const mapping = other === undefined ? undefined : await mappingOf(socket, server, other, mapped)
  const hairpin = (await socket.request(mapped, { waitMs: silentMs })) !== undefined
  return { mapped, rttMs: first.rttMs, mapping, filtering, hairpin }
}

/** RFC 5780, 4.4. */
async function filteringOf(
  socket: StunRequester,
  server: string,
  waitMs: Millis,
): Promise<Dependence | undefined> {
  const both = await socket.request(server, { change: { address: true, port: true }, waitMs })
  // A server that does not know CHANGE-REQUEST may answer from where it was asked, which tells nothing.
  if (both !== undefined) return isFrom(both, server) ? undefined : 'endpoint-independent'
  const port = await socket.request(server, { change: { address: false, port: true }, waitMs })
  return port === undefined ? 'address-and-port-dependent' : 'address-dependent'
}

const isFrom = ({ from }: StunResponse, server: string): boolean => from === server

/** RFC 5780, 4.3: with the other address and the first port, then with both others. */
async function mappingOf(
  socket: StunRequester,
  server: string,
  other: string,
  mapped: string,
): Promise<Dependence | undefined> {
  const [, host] = /^(.*):\d+$/.exec(other) ?? []
  const [port] = /\d+$/.exec(server) ?? []
  const second = (await socket.request(`${host}:${port}`))?.message.mapped
  if (second === undefined) return undefined
  if (second === mapped) return 'endpoint-independent'
  const third = (await socket.request(other))?.message.mapped
  if (third === undefined) return undefined
  return third === second ? 'address-dependent' : 'address-and-port-dependent'
}
