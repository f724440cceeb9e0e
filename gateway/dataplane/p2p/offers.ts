/** Parses the `p2p.` messages between gateways: every field is checked and bounded. */

import type { Millis } from '../../../core/clock.ts'
import { isObject } from '../../../core/json.ts'
import { printable } from '../../base/printable.ts'
import type { ControlMessage } from '../../links/types.ts'
import type { PeerMessage, UdpOutside } from '../../paths/escalation/types.ts'
import { isEndpoint } from './endpoints.ts'

/** Version of the messages. An offer of another version is refused, and the answer names both numbers. */
export const OFFER_VERSION = 1
/** No machine has more addresses that others could use. */
const MAX_CANDIDATES = 16
/** How far a peer may count promotions. This host counts on from there, and its P2P process knows whole numbers. */
const MAX_GENERATION = 0xffff_ffff
const MAX_TEXT = 200
/** A day: no peer plans its next try later than that. */
const MAX_RETRY_MS: Millis = 86_400_000

/** Where a host is, as it says to a peer. */
export interface Offered {
  /** `address:port`; undefined: the message names none. */
  readonly candidates?: readonly string[] | undefined
  /** One of them: where a router lets all in. */
  readonly portMapped?: string | undefined
  /** Of them, those on TURN servers. */
  readonly relayed?: readonly string[] | undefined
  /** Its NAT gives each destination another port. */
  readonly isSymmetric?: boolean | undefined
  readonly udp?: UdpOutside | undefined
}

/** A well-formed `p2p.` message: the part that the escalation decides on, and the addresses. */
export interface Received extends Offered {
  /** Undefined: only addresses, or an obstacle. */
  readonly message: PeerMessage | undefined
  /** Why the peer has no UDP path with this host, in its words; `''`: it can have one. */
  readonly obstacle?: string
  readonly attempt?: string
}

/** Why a message is ignored. */
export class OfferError extends Error {
  override readonly name = 'OfferError'
  /** The attempt to refuse: the peer learns why its otherwise good offer was ignored. */
  readonly refused: string | undefined

  constructor(message: string, refused?: string) {
    super(message)
    this.refused = refused
  }
}

type Fields = Readonly<Record<string, unknown>>

/** @throws {OfferError} names the field, never the value: a peer's text must not get into the log */
export function parseOffer(given: ControlMessage): Received {
  if (!isObject(given)) throw new OfferError('it is no object')
  const fields: Fields = given
  const { type } = given
  const attempt = (): string => hexOf(fields, 'attempt')
  const generation = (): number => wholeOf(fields, 'generation', MAX_GENERATION)
  const reason = (): string => textOf(fields, 'reason')
  switch (type) {
    case 'p2p.request':
      return { message: { type, reason: reason() } }
    case 'p2p.offer':
      checkVersion(fields, attempt())
      return {
        message: { type, attempt: attempt(), generation: generation() },
        ...offeredIn(fields),
      }
    case 'p2p.answer':
      return { message: { type, attempt: attempt() }, ...offeredIn(fields) }
    case 'p2p.candidates':
      return { message: undefined, attempt: attempt(), ...offeredIn(fields) }
    case 'p2p.obstacle':
      return { message: undefined, obstacle: reason() }
    case 'p2p.refuse':
      return { message: { type, attempt: attempt(), reason: reason() } }
    case 'p2p.promote':
    case 'p2p.promoted':
      return { message: { type, attempt: attempt(), generation: generation() } }
    case 'p2p.notReady':
    case 'p2p.demote':
      return { message: { type, attempt: attempt(), generation: generation(), reason: reason() } }
    case 'p2p.state':
      return { message: stateOf(fields) }
    default:
      throw new OfferError('its type is not known')
  }
}

function stateOf(fields: Fields): PeerMessage {
  const { isPromoted } = fields
  if (typeof isPromoted !== 'boolean') throw new OfferError('isPromoted must be true or false')
  return {
    type: 'p2p.state',
    generation: wholeOf(fields, 'generation', MAX_GENERATION),
    isPromoted,
    ...(fields['attempt'] !== undefined && { attempt: hexOf(fields, 'attempt') }),
    ...(fields['retryInMs'] !== undefined && { retryInMs: wholeOf(fields, 'retryInMs', MAX_RETRY_MS) }),
  }
}

function checkVersion(fields: Fields, attempt: string): void {
  const version = wholeOf(fields, 'version', 1_000_000)
  if (version === OFFER_VERSION) return
  throw new OfferError(`speaks version ${version}, this gateway ${OFFER_VERSION}`, attempt)
}

function hexOf(fields: Fields, key: string): string {
  const value = fields[key]
  if (typeof value === 'string' && /^[0-9a-f]{16}$/.test(value)) return value
  throw new OfferError(`${key} must be 16 digits of hex`)
}

function wholeOf(fields: Fields, key: string, max: number): number {
  const value = fields[key]
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value
  throw new OfferError(`${key} must be a whole number from 0 to ${max}`)
}

function textOf(fields: Fields, key: string): string {
  const value = fields[key]
  if (typeof value === 'string' && value.length <= MAX_TEXT) return printable(value)
  throw new OfferError(`${key} must be text of at most ${MAX_TEXT} characters`)
}

function offeredIn({ candidates, isSymmetric, portMapped, relayed = [], udp }: Fields): Offered {
  if (portMapped !== undefined && !isEndpoint(portMapped))
    throw new OfferError('portMapped must be an address with a port')
  return {
    candidates: endpointsOf('candidates', candidates),
    // A gateway from before TURN sends none.
    relayed: endpointsOf('relayed', relayed),
    ...(portMapped !== undefined && { portMapped }),
    ...(isSymmetric === true && { isSymmetric }),
    ...((udp === 'works' || udp === 'silent') && { udp }),
  }
}

function endpointsOf(key: string, value: unknown): string[] {
  if (Array.isArray(value) && value.length <= MAX_CANDIDATES && value.every(isEndpoint)) return value
  throw new OfferError(`${key} must be at most ${MAX_CANDIDATES} addresses with ports`)
}
