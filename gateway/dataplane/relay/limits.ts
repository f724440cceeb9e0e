/** The bounds of relaying, with the reason of each: what a relay gives, and how long its users wait. */

import type { Millis } from '../../../core/clock.ts'

/** Of what a gateway does for others. */
export const RelayLimit = {
  /** What one host asks for: at first a relay to every other, then as a few tries a second that fail. */
  asksBurst: 64,
  asksPerS: 8,
  /** 50 Mbit/s, both ways together: enough to work over, and a few pairs leave a gigabit link to its owner. */
  bytesPerS: 6_250_000,
  /** A page and its pictures come at full speed. */
  burstBytes: 1_000_000,
  /** The ends ping each other every second, so this finds what they have forgotten. */
  idleMs: 5 * 60_000,
  /** For the other end to close as well, when one has closed in order. */
  goodbyeMs: 1_000,
  /** While this gateway stops: a connection over another relay stands within 0.3 s of being wanted. */
  moveMs: 1_000,
  /** For the second leg. The first waits for it, and gives up after 5 s. */
  legMs: 4_000,
} as const satisfies Record<string, Millis>

/** Of an end of a relayed connection. */
export const EndLimit = {
  /** For the relay's word that the other end is there. */
  openMs: 5_000,
  /** For TLS with the other end, and its word that it keeps the connection. */
  handshakeMs: 5_000,
  /** Handshakes at once that come by one relay: no more than it has pairs with this host. */
  incoming: 32,
  /**
   * How long a relay that failed is left out: long enough for a better choice, short enough that the only one is
   * found again.
   */
  unusableMs: 10_000,
  /**
   * The same after a connection that stood and broke: long enough to choose another relay. Where there is none, each
   * second more is one without any path, and a machine that is short of processor time for 3 s breaks all of them.
   */
  brokenMs: 1_000,
  /** The other end changes its path a little later than this one, and sends this way until then. */
  lingerMs: 5_000,
  /** A connection that stood this long was no failure of its relay: it is made again before the relay is given up. */
  settledMs: 5_000,
  /** Both ends begin at the same time; the lower hostId goes first, so that the two seldom meet. */
  headStartMs: 250,
} as const satisfies Record<string, Millis>
