/**
 * Messages between two gateways that only a relay joins: frames of their own on the relayed channel, sealed end to end
 * as the packets are. A direct link has its control connection for that.
 */

import type { TLSSocket } from 'node:tls'
import { isObject } from '../../../core/json.ts'
import { Listeners } from '../../base/listeners.ts'
import type { ControlMessage } from '../../links/types.ts'
import type { Channel } from '../tunnel/channel.ts'
import { FrameType } from '../tunnel/frame.ts'

/** An offer with 16 addresses is 1.3 KB. */
const MAX_SIGNAL_BYTES = 4_096

/** A relayed connection whose both ends are gateways that proved who they are. */
export interface SignalWay {
  readonly hostId: number
  readonly relay: number
  readonly channel: Pick<Channel, 'send'>
  readonly socket: Pick<TLSSocket, 'exportKeyingMaterial' | 'getPeerX509Certificate'>
}

export interface SignalEvents {
  up(way: SignalWay): void
  down(way: SignalWay): void
  message(way: SignalWay, message: ControlMessage): void
}

export class RelaySignals {
  readonly #byChannel = new Map<Pick<Channel, 'send'>, SignalWay>()
  readonly #up = new Listeners<Parameters<SignalEvents['up']>>()
  readonly #down = new Listeners<Parameters<SignalEvents['down']>>()
  readonly #message = new Listeners<Parameters<SignalEvents['message']>>()

  /** @returns how to stop listening */
  listen(events: SignalEvents): () => void {
    const stops = [
      this.#up.add((way) => events.up(way)),
      this.#down.add((way) => events.down(way)),
      this.#message.add((way, message) => events.message(way, message)),
    ]
    return () => stops.forEach((stop) => void stop())
  }

  add(way: SignalWay): void {
    this.#byChannel.set(way.channel, way)
    this.#up.call(way)
  }

  /** The channel was closed. Channels of other kinds are none of these. */
  remove(channel: Pick<Channel, 'send'>): void {
    const way = this.#byChannel.get(channel)
    if (way === undefined) return
    this.#byChannel.delete(channel)
    this.#down.call(way)
  }

  has(way: SignalWay): boolean {
    return this.#byChannel.get(way.channel) === way
  }

  /** The newest connection to the host. */
  to(hostId: number): SignalWay | undefined {
    return [...this.#byChannel.values()].findLast((way) => way.hostId === hostId)
  }

  /** It waits behind packets, and may be dropped as they are. @returns false: the connection is gone */
  send(way: SignalWay, message: ControlMessage): boolean {
    if (!this.has(way)) return false
    way.channel.send(FrameType.SIGNAL, Buffer.from(JSON.stringify(message)))
    return true
  }

  /** @param payload of a SIGNAL frame; what cannot be read, or came on a channel of another kind, says nothing */
  receive(channel: Pick<Channel, 'send'>, payload: Uint8Array): void {
    const way = this.#byChannel.get(channel)
    if (way === undefined || payload.byteLength > MAX_SIGNAL_BYTES) return
    const message = messageOf(payload)
    if (message !== undefined) this.#message.call(way, message)
  }
}

function messageOf(payload: Uint8Array): ControlMessage | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'))
    return isObject(value) && typeof value['type'] === 'string'
      ? (value as unknown as ControlMessage)
      : undefined
  } catch {
    // A peer's fault, and no reason to end the connection that carries its packets.
    return undefined
  }
}
