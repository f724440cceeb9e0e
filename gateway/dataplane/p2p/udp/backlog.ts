/** Packets of bulk that were read from the device and wait to be sent, one after another in memory. */
import type { Region } from '../../../../kernel/arena.ts'
import type { PeerState } from './peer.ts'

/** A power of two. */
const MOST_PACKETS = 1_024

export class Backlog {
  readonly #size: number
  readonly #read: number
  readonly #at = new Uint32Array(MOST_PACKETS)
  readonly #length = new Uint32Array(MOST_PACKETS)
  readonly #flow = new Uint16Array(MOST_PACKETS)
  readonly #peer: (PeerState | undefined)[] = new Array(MOST_PACKETS)
  /** Running numbers of the first packet and of the next one. */
  #first = 0
  #next = 0
  /** Where the first packet begins, and the next packet will. */
  #start = 0
  #end = 0
  #bytes = 0

  /**
   * @param memory where the packets lie
   * @param readBytes room that reading one packet needs
   */
  constructor(memory: Region, readBytes: number) {
    this.#size = memory.length
    this.#read = readBytes
  }

  get count(): number {
    return this.#next - this.#first
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether another packet can be read. */
  get hasRoom(): boolean {
    if (this.count === 0) return true
    if (this.count >= MOST_PACKETS) return false
    if (this.#end < this.#start) return this.#end + this.#read <= this.#start
    return this.#end + this.#read <= this.#size || this.#read <= this.#start
  }

  /** Where to read the next packet; only while `hasRoom`. Empty, it begins again where the CPU's cache is warm. */
  place(): number {
    if (this.count === 0) {
      this.#start = 0
      this.#end = 0
    } else if (this.#end >= this.#start && this.#end + this.#read > this.#size) this.#end = 0
    return this.#end
  }

  /** Keeps a packet that was read at `place`, or behind it when none waits. */
  push(peer: PeerState, flow: number, at: number, length: number): void {
    const i = this.#next++ & (MOST_PACKETS - 1)
    if (this.count === 1) this.#start = at
    this.#at[i] = at
    this.#length[i] = length
    this.#flow[i] = flow
    this.#peer[i] = peer
    this.#end = at + length
    this.#bytes += length
  }

  /** Peer, flow, place and length of the first packet; only while `count` is above zero. */
  get peer(): PeerState {
    return this.#peer[this.#first & (MOST_PACKETS - 1)]!
  }

  get flow(): number {
    return this.#flow[this.#first & (MOST_PACKETS - 1)]!
  }

  get at(): number {
    return this.#at[this.#first & (MOST_PACKETS - 1)]!
  }

  get length(): number {
    return this.#length[this.#first & (MOST_PACKETS - 1)]!
  }

  /** Forgets the first packet. Its bytes stay until the next `place`. */
  shift(): void {
    this.#bytes -= this.length
    this.#first++
    if (this.count > 0) this.#start = this.at
  }
}
