/** When the peers are told what has arrived: during bulk by amount, and when the socket is empty. */
import { ACKNOWLEDGE, encodeAck } from './control.ts'
import type { OpenKey } from './keys.ts'
import type { RecordSender } from './send-record.ts'

export class Acknowledger {
  readonly #record: RecordSender
  /** Keys for which data has come and may not have been acknowledged. */
  readonly #keys = new Set<OpenKey>()

  constructor(record: RecordSender) {
    this.#record = record
  }

  /** @param bytes of data of the wire */
  arrived(key: OpenKey, bytes: number, now: number): void {
    key.arrivals.count(bytes, now)
    this.#keys.add(key)
    if (key.arrivals.isDue(now, false)) this.#tell(key)
  }

  /** The socket is empty. */
  idle(now: number): void {
    if (this.#keys.size === 0) return
    for (const key of this.#keys) if (key.arrivals.isDue(now, true)) this.#tell(key)
    this.#keys.clear()
  }

  #tell(key: OpenKey): void {
    if (key.peer.isRemoved || key.peer.address === undefined) return
    const ack = encodeAck({ index: key.index, ...key.arrivals.tell() })
    // Lost ones are made good by the next: nothing depends on a single one, so neither on the send's errno.
    this.#record.control(key.peer, ACKNOWLEDGE, ack, key.peer.sockaddr)
  }
}
