/** The life of a part of the gateway: constructed, started in order, stopped in reverse. */

export interface Part {
  /** A part neither reads, sends nor listens before this. */
  start(): void | Promise<void>
  /** Called also where `start` failed or was never called. */
  stop(): void | Promise<void>
}
