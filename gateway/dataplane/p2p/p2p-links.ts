/** What UDP paths need of the connections to peers, by which two hosts agree on them. */

import type { Millis } from '../../../core/clock.ts'
import type { SignalKind } from './udp-tiers.ts'

/** All of it concerns the connection that is up now. */
export interface P2pLinks {
  isUp(hostId: number): boolean
  send(hostId: number, message: { readonly type: string; readonly [key: string]: unknown }): boolean
  /** RFC 8446, 7.5; undefined: no connection is up. */
  exportKey(hostId: number, bytes: number, label: string, context: Buffer): Buffer | undefined
  /** What the connection is; undefined: none is up. */
  kind(hostId: number): SignalKind | undefined
  /** How long the follower waits before it starts to probe; absent: not at all. */
  startInMs?(hostId: number): Millis
  /** Both ends' addresses; undefined: no connection is up. */
  addresses(hostId: number): { readonly local: string; readonly remote: string } | undefined
}
