/** Dropped packets, counted by reason. */
import { Verdict } from './check.ts'

export type DropReason =
  | Exclude<keyof typeof Verdict, 'ok'>
  /** No host of the cluster has this address. */
  | 'unknownHost'
  /** The peer is known and its connection is down. */
  | 'detached'
  /** Room in the peer's queue was needed for newer packets. */
  | 'queueFull'
  /** The kernel had no memory for it (EAGAIN, ENOBUFS, ENOMEM). */
  | 'deviceBusy'
  /** The kernel found a fault in it that we did not see (EINVAL), or the device is down (EIO). */
  | 'deviceRefused'
  /** The frame's header names other hosts than the two ends of the connection. */
  | 'frameHost'
  /** The host is in quarantine. */
  | 'keptOut'
  /** A frame of an unknown type. */
  | 'frameType'

const NAMES = Object.keys(Verdict) as DropReason[]

/** The word for a verdict that is not ok. */
export const dropReason = (verdict: Verdict): DropReason => NAMES[verdict] ?? 'version'

export class Drops {
  readonly #counts = new Map<DropReason, number>()

  add(reason: DropReason, packets = 1): void {
    if (packets === 0) return
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + packets)
  }

  /** Only reasons that occurred. */
  counts(): Readonly<Partial<Record<DropReason, number>>> {
    return Object.fromEntries(this.#counts)
  }
}
