/**
 * Tells sparse flows, whose packets may pass the backlog of bulk, by what each flow has sent lately. Pure.
 *
 * Flows share a slot when their hashes collide. Then they are judged as one flow, so order is kept all the same.
 */
import { VIRTIO_HEADER } from '../../../tunnel/frame.ts'

const SLOTS = 1_024
/** What a sparse flow may send at once, and how much of it comes back each ms: 32 Mbit/s. */
const BURST = 32 << 10
const BYTES_PER_MS = 4 << 10
/** A flow of bulk counts as sparse this much below the bound at the earliest: 8 ms after its end. */
const MOST = 2 * BURST

const TCP = 6
const UDP = 17
const FRAGMENT = 0x3fff
const SYN_FIN_RST = 7

/** Slot of the flow of an IPv4 packet that lies behind a virtio header at `at`. Fragments have no ports. */
export function flowOf(b: Uint8Array, at: number): number {
  const ip = at + VIRTIO_HEADER
  const protocol = b[ip + 9]!
  let hash = protocol
  for (let i = 12; i < 20; i += 2) hash = Math.imul(hash ^ ((b[ip + i]! << 8) | b[ip + i + 1]!), 0x9e3779b1)
  const hasPorts = protocol === TCP || protocol === UDP
  if (hasPorts && (((b[ip + 6]! << 8) | b[ip + 7]!) & FRAGMENT) === 0) {
    const ports = ip + (b[ip]! & 15) * 4
    for (let i = 0; i < 4; i += 2)
      hash = Math.imul(hash ^ ((b[ports + i]! << 8) | b[ports + i + 1]!), 0x9e3779b1)
  }
  return (hash ^ (hash >>> 15)) & (SLOTS - 1)
}

/** Whether an IPv4 packet behind a virtio header at `at` is an acknowledgement of TCP without data. */
export function isPureAck(b: Uint8Array, at: number): boolean {
  const ip = at + VIRTIO_HEADER
  if (b[ip + 9] !== TCP || b[ip + 6]! & 0x3f || b[ip + 7] !== 0) return false
  const tcp = ip + (b[ip]! & 15) * 4
  const length = ((b[ip + 2]! << 8) | b[ip + 3]!) + ip - tcp
  return length === (b[tcp + 12]! >>> 4) * 4 && (b[tcp + 13]! & SYN_FIN_RST) === 0
}

export class Flows {
  /** Bytes sent lately, less what has come back since. */
  readonly #level = new Int32Array(SLOTS)
  readonly #countedAt = new Float64Array(SLOTS)
  /** Packets that wait in the backlog. */
  readonly #waiting = new Uint16Array(SLOTS)

  /** Counts a packet. @returns whether it may pass the backlog */
  isSparse(flow: number, bytes: number, now: number): boolean {
    const returned = (now - this.#countedAt[flow]!) * BYTES_PER_MS
    const level = Math.max(0, this.#level[flow]! - returned) + bytes
    this.#level[flow] = Math.min(level, MOST)
    this.#countedAt[flow] = now
    // Behind a packet of its own flow it has to wait.
    return level <= BURST && this.#waiting[flow] === 0
  }

  /** A packet begins to wait. */
  waits(flow: number): void {
    this.#waiting[flow]!++
  }

  /** A packet of the backlog was sent or dropped. */
  left(flow: number): void {
    this.#waiting[flow]!--
  }
}
