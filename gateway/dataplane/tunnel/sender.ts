/** The way out to one peer: what its connection takes now, and what waits. */
import { type Batch, SendQueue } from './queue.ts'
import type { Slab, SlabPool } from './slab.ts'

/** A peer's data connection as the tunnel needs it. */
export interface DataPort {
  /**
   * Sends whole frames after those of earlier calls. `bytes` must stay as it is until `done` is called, which is once:
   * when the kernel has it, or when the connection has ended.
   */
  write(bytes: Uint8Array, done: () => void): void
  /** Bytes handed over and not yet given to the kernel. */
  readonly writableLength: number
}

/**
 * What may be on its way through TLS at a time: enough to keep the encryption busy while the next turn of the event
 * loop reads on. What exceeds it waits in the queue, where it can still be dropped.
 */
const IN_FLIGHT_BYTES = 256 * 1024
/** Above it other users have filled the connection; the queue takes all and drops the oldest. */
const MAX_WRITABLE = 1024 * 1024
/** Smaller batches are copied before they wait: 100 bytes that wait would hold back a whole slab. */
const COPY_BELOW = 16 * 1024

export interface SenderCounts {
  packets: number
  bytes: number
  /** Called with the number of packets dropped for want of room in the queue. */
  readonly dropped: (packets: number) => void
}

export class Sender {
  readonly #port: DataPort
  readonly #pool: SlabPool
  readonly #counts: SenderCounts
  readonly #queue: SendQueue
  #inFlight = 0
  #isOpen = true

  /** @param counts the peer's, which outlive the connection */
  constructor(port: DataPort, pool: SlabPool, counts: SenderCounts, queueBytes?: number) {
    this.#port = port
    this.#pool = pool
    this.#counts = counts
    this.#queue = new SendQueue((batch) => this.#drop(batch), queueBytes)
  }

  get queuedBytes(): number {
    return this.#queue.bytes
  }

  get inFlightBytes(): number {
    return this.#inFlight
  }

  /** Sends a part of a slab, or lets it wait. Never fails. */
  send(slab: Slab, start: number, end: number, packets: number): void {
    const part = slab.bytes.subarray(start, end)
    const mayWrite = this.#mayWrite()
    if (this.#inFlight > 0 && part.byteLength < COPY_BELOW) {
      const copy = { bytes: Buffer.from(part), packets, slab: undefined }
      if (mayWrite) this.#write(copy)
      else this.#queue.push(copy)
      return
    }
    slab.users++
    if (mayWrite) this.#write({ bytes: part, packets, slab })
    else this.#queue.push({ bytes: part, packets, slab })
  }

  /** Sends a frame that is no packet, or lets it wait. Never fails. */
  sendFrame(bytes: Uint8Array): void {
    const batch = { bytes, packets: 0, slab: undefined }
    if (this.#mayWrite()) this.#write(batch)
    else this.#queue.push(batch)
  }

  /** Drops what waits. What is on its way is the connection's; its buffers come back when that lets go of them. */
  close(): void {
    this.#isOpen = false
    this.#queue.clear()
  }

  #mayWrite(): boolean {
    // Without a write on its way no callback would go on, so one may always go.
    if (this.#inFlight === 0) return true
    return (
      this.#inFlight < IN_FLIGHT_BYTES && this.#queue.bytes === 0 && this.#port.writableLength < MAX_WRITABLE
    )
  }

  #write(batch: Batch): void {
    const { bytes, slab } = batch
    this.#inFlight += bytes.byteLength
    this.#counts.packets += batch.packets
    this.#counts.bytes += bytes.byteLength
    this.#port.write(bytes, () => {
      if (slab !== undefined) this.#pool.release(slab)
      this.#inFlight -= bytes.byteLength
      this.#pump()
    })
  }

  #pump(): void {
    while (this.#isOpen && this.#queue.bytes > 0) {
      if (this.#inFlight > 0 && this.#inFlight >= IN_FLIGHT_BYTES) return
      const batch = this.#queue.shift()
      if (batch !== undefined) this.#write(batch)
    }
  }

  #drop(batch: Batch): void {
    if (batch.slab !== undefined) this.#pool.release(batch.slab)
    this.#counts.dropped(batch.packets)
  }
}
