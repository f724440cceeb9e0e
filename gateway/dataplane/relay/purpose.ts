/** What the streams of relays are for, and what this folder needs of streams. */

import type { Duplex } from 'node:stream'
import type { Millis } from '../../../core/clock.ts'
import type { StreamHead } from '../../links/streams/stream-frame.ts'
import type { StreamOffer } from '../../links/streams/streams.ts'

/** `relay { to }`: to the gateway in the middle. `relayed { from }`: from it to the other end. */
export const Purpose = { relay: 'relay', relayed: 'relayed' } as const

export interface RelayOffer extends Omit<StreamOffer, 'accept'> {
  accept(): Duplex
}

/** gateway/links/streams/streams.ts. */
export interface RelayStreams {
  open(hostId: number, head: StreamHead, options: { readonly timeoutMs: Millis }): Promise<Duplex>
  handle(purpose: string, handler: (offer: RelayOffer) => void): void
}

export const reasonOf = (err: unknown): string => (err instanceof Error ? err.message : String(err))
