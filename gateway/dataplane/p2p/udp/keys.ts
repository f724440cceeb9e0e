/** Holds the keys in use: one opens a peer's datagrams, another seals this host's. */
import { type Aead, RecordOpener, RecordSealer, WholeOpener, WholeSealer } from './crypto/aead.ts'
import type { PeerKeys } from './crypto/key-schedule.ts'
import { Arrivals } from './flow/arrivals.ts'
import { Holes } from './flow/holes.ts'
import { SentLog } from './flow/sent-log.ts'
import type { PeerState } from './peer.ts'
import type { Assembling } from './wire/reassembly.ts'
import { ReplayWindow } from './wire/replay-window.ts'

/** The key's generation in its session is 1, and one more with each `replaceKeys`. */
export class OpenKey implements Assembling {
  readonly peer: PeerState
  readonly generation: number
  readonly index: number
  readonly whole: WholeOpener
  readonly record: RecordOpener
  readonly wholeSeen = new ReplayWindow()
  readonly recordSeen = new ReplayWindow()
  readonly arrivals = new Arrivals()
  readonly holes = new Holes()
  /** Slot of the last data that opened, for its source; -1: none since the plane last looked. */
  openedSlot = -1
  /** Until when it opens, ms; undefined while it is the newest key, or the one before that the peer still uses. */
  diesAt: number | undefined

  constructor(aead: Aead, peer: PeerState, generation: number, { cipher, open }: PeerKeys) {
    this.peer = peer
    this.generation = generation
    this.index = open.index
    this.whole = new WholeOpener(aead, cipher, open.whole)
    this.record = new RecordOpener(aead, cipher, open.record)
  }

  incomplete(): void {
    this.peer.counters.rxIncomplete++
  }

  free(): void {
    this.whole.free()
    this.record.free()
  }
}

export class SealKey {
  readonly generation: number
  readonly index: number
  readonly whole: WholeSealer
  readonly record: RecordSealer
  readonly log = new SentLog()

  constructor(aead: Aead, generation: number, { cipher, seal }: PeerKeys) {
    this.generation = generation
    this.index = seal.index
    this.whole = new WholeSealer(aead, cipher, seal.whole)
    this.record = new RecordSealer(aead, cipher, seal.record)
  }

  free(): void {
    this.whole.free()
    this.record.free()
  }
}
