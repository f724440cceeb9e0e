/** Handles the plane's own control datagrams: acknowledgements, requests for lost parts, and the answers to them. */
import { ACKNOWLEDGE, decodeAck, decodeResend, encodeResend, REQUEST, RESENT } from './control.ts'
import type { Parts } from './flow/parts.ts'
import type { OpenKey } from './keys.ts'
import type { WholeReceiver } from './receive-whole.ts'
import type { RetransmitBuffer } from './retransmit-buffer.ts'
import type { RecordSender } from './send-record.ts'
import { numberOf } from './wire/datagram.ts'

export interface OwnControlDeps {
  readonly record: RecordSender
  readonly whole: WholeReceiver
  readonly retransmitBuffer: RetransmitBuffer
  keyOf(index: number): OpenKey | undefined
  now(): number
}

export class OwnControl {
  readonly #deps: OwnControlDeps
  readonly #request = (key: OpenKey, request: number, parts: readonly Parts[]) =>
    this.#send(key, REQUEST, encodeResend({ index: key.index, request, isOn: true, parts }))

  constructor(deps: OwnControlDeps) {
    this.#deps = deps
  }

  /** @returns false: the datagram is the owner's */
  handle(key: OpenKey, type: number, payload: Uint8Array): boolean {
    switch (type) {
      case ACKNOWLEDGE:
        this.#acknowledged(key, payload)
        return true
      case REQUEST:
        this.#requested(key, payload)
        return true
      case RESENT:
        this.#resent(key, payload)
        return true
      default:
        return false
    }
  }

  #acknowledged({ peer }: OpenKey, payload: Uint8Array): void {
    const ack = decodeAck(payload)
    if (ack === undefined) {
      peer.counters.rxMalformed++
      return
    }
    peer.canResend = ack.canResend
    peer.acknowledged(ack.index, ack.id, ack.received, this.#deps.now())
  }

  #requested(key: OpenKey, payload: Uint8Array): void {
    const { peer } = key
    const asked = decodeResend(payload)
    if (asked === undefined) {
      peer.counters.rxMalformed++
      return
    }
    if (asked.index !== peer.seal?.index) return
    const isOn = peer.resends
    if (isOn) this.#deps.retransmitBuffer.keepFrom(this.#deps.now())
    const parts = isOn ? this.#deps.retransmitBuffer.retransmit(peer, asked.parts) : []
    this.#send(key, RESENT, encodeResend({ index: asked.index, request: asked.request, isOn, parts }))
  }

  #resent({ peer }: OpenKey, payload: Uint8Array): void {
    const { keyOf, whole, now } = this.#deps
    const answer = decodeResend(payload)
    if (answer === undefined) {
      peer.counters.rxMalformed++
      return
    }
    const key = keyOf(answer.index)
    if (key === undefined || key.peer !== peer) return
    const gone = answer.parts.map(({ number }) => numberOf(number, key.arrivals.newest))
    whole.answered(key, answer.request, answer.isOn, gone, now())
  }

  /** Asks for what is missing, after a batch. */
  ask(): void {
    this.#deps.whole.ask(this.#deps.now(), this.#request)
  }

  #send({ peer }: OpenKey, type: number, payload: Uint8Array): void {
    // A request that does not arrive leaves what it asks for to the TCP inside.
    if (!peer.isRemoved && peer.address !== undefined)
      this.#deps.record.control(peer, type, payload, peer.sockaddr)
  }
}
