/** The life of a part of the gateway: all parts are constructed, then started in order, and stopped in reverse. */

export interface Part {
  /** A part neither reads, sends nor listens before it. */
  start(): void | Promise<void>
  /** Also where `start` failed, or was never called. */
  stop(): void | Promise<void>
}
