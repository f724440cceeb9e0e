/** Acknowledges what arrived: by amount during bulk, and whenever the socket is empty. */
import { ACKNOWLEDGE, encodeAck } from './control.ts'
import type { OpenKey } from './keys.ts'
import type { RecordSender } from './send-record.ts'

export class Acknowledger {
  readonly #record: RecordSender
  /** Keys with data that may not have been acknowledged yet. */
  readonly #keys: OpenKey[] = []

  constructor(record: RecordSender) {
    this.#record = record
  }

  /** @param bytes of data, as on the wire */
  arrived(key: OpenKey, bytes: number, now: number): void {
    key.arrivals.count(bytes, now)
    if (!this.#keys.includes(key)) this.#keys.push(key)
    if (key.arrivals.isDue(now, false)) this.#send(key)
  }

  /** The socket is empty. */
  idle(now: number): void {
    for (let key = this.#keys.pop(); key !== undefined; key = this.#keys.pop())
      if (key.arrivals.isDue(now, true)) this.#send(key)
  }

  #send(key: OpenKey): void {
    if (key.peer.isRemoved || key.peer.address === undefined) return
    const ack = encodeAck({ index: key.index, ...key.arrivals.snapshot(), canResend: true })
    // The next acknowledgement makes up for a lost one, so the errno does not matter.
    this.#record.control(key.peer, ACKNOWLEDGE, ack, key.peer.sockaddr)
  }
}
