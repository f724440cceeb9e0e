/** Sends packets in their peer's form. */
import type { Region } from '../../../../kernel/arena.ts'
import { VIRTIO_HEADER } from '../../tunnel/frame.ts'
import type { PeerState } from './peer.ts'
import type { RecordSender } from './send-record.ts'
import type { WholeSender } from './send-whole.ts'

export interface PacketSenderDeps {
  readonly whole: WholeSender
  readonly record: RecordSender
  failed(peer: PeerState, errno: number): void
}

export class PacketSender {
  readonly #deps: PacketSenderDeps

  constructor(deps: PacketSenderDeps) {
    this.#deps = deps
  }

  /** Sends packets that lie one after another: as one message of whole, or each alone with `flush` at the latest. */
  send(peer: PeerState, text: Region, from: number, n: number, now: number): void {
    peer.note()
    if (peer.form === 'whole') {
      this.#whole(peer, text, from, n, now)
      return
    }
    for (let at = from; at < from + n; ) {
      const length = lengthAt(text, at)
      if (!this.#deps.record.packet(peer, text, at, length, now)) this.#whole(peer, text, at, length, now)
      at += length
    }
  }

  /** Sends the packets that `send` has left. */
  flush(): void {
    this.#deps.record.flush()
  }

  #whole(peer: PeerState, text: Region, at: number, n: number, now: number): void {
    this.#deps.record.flush()
    const errno = this.#deps.whole.send(peer, text, at, n, now)
    if (errno !== 0) this.#deps.failed(peer, errno)
  }
}

/** Bytes of the packet at `at` with its virtio header: `checkOutgoing` found that its IP header tells them. */
const lengthAt = (text: Region, at: number): number =>
  VIRTIO_HEADER + text.view.getUint16(at + VIRTIO_HEADER + 2)
