/** What a session is given: by the gateway to begin with, and by the process around it. */
import type { Millis } from '../../../../core/clock.ts'
import { familyOf } from '../endpoints.ts'
import type { FromProcess } from '../protocol.ts'
import type { Cipher } from '../udp/crypto/key-schedule.ts'
import type { UdpPlane } from '../udp/types.ts'
import type { Relays } from './peer-path-deps.ts'
import type { Offered } from './relayed-addresses.ts'

/** `stays`: lost, but the gateway path is down as well. */
export type Judgement = 'proven' | 'suspect' | 'cleared' | 'extended' | 'lost' | 'stays'

/** What the gateway provides for a start. */
export interface SessionStart {
  readonly hostId: number
  readonly attempt: string
  /** 64 bytes that both gateways exported from the same TLS connection. */
  readonly secret: Uint8Array
  readonly candidates: readonly Offered[]
  /** Ms since the epoch. */
  readonly validUntil: Millis
  /** Of the addresses that may be used; undefined: any. */
  readonly families?: readonly ('ipv4' | 'ipv6')[] | undefined
  /** Before the first probe. */
  readonly startInMs?: Millis | undefined
}

/** Whether the peer may be at this address. */
export const allows = ({ families }: SessionStart, address: string): boolean =>
  families?.includes(familyOf(address)) ?? true

export interface SessionDeps {
  /** This host's. */
  readonly hostId: number
  readonly cipher: Cipher
  readonly rekeyEveryMs?: Millis | undefined
  readonly plane: Pick<UdpPlane, 'addPeer' | 'removePeer' | 'sendControl'>
  readonly routes: {
    /** @returns why the route could not be set */
    add(hostId: number): string | undefined
    remove(hostId: number): void
  }
  now(): Millis
  wallClock(): Millis
  randomToken(): number
  isLan(address: string): boolean
  /** Whether this host's socket can send to it: without IPv6, not to an IPv6 address. */
  canReach(address: string): boolean
  readonly relays: Relays
  isLocalFault(now: Millis): boolean
  lagMs(): Millis
  /** Datagrams without a session, and STUN responses to no request of this host. */
  ignored(): { readonly strays: number; readonly unaskedStun: number }
  report(message: FromProcess): void
  /** For the log and for the guard against local faults. */
  judged(hostId: number, what: Judgement, reason?: string): void
  /** The session gave up its keys and its route. */
  ended(hostId: number): void
}
