/** One connection to a container, for one request at a time. */

import type { Socket } from 'node:net'
import type { Millis } from '../../core/clock.ts'

export interface WireUser {
  bytes(bytes: Buffer): void
  /** The connection is gone. @param err undefined: the container ended it properly */
  lost(err: Error | undefined): void
}

export class Wire {
  readonly socket: Socket
  /** `10.100.1.10:80` */
  readonly endpoint: string
  /** Monotonic; of the last return to the pool. */
  idleSince: Millis = 0
  #user: WireUser | undefined

  constructor(socket: Socket, endpoint: string) {
    this.socket = socket
    this.endpoint = endpoint
    socket.on('data', (bytes: Buffer) => {
      // Bytes that nobody asked for: whatever they answer, it is not the next request.
      if (this.#user === undefined) socket.destroy()
      else this.#user.bytes(bytes)
    })
    socket.on('end', () => this.#lose(undefined))
    socket.on('error', (err) => this.#lose(err))
    socket.on('close', () => this.#lose(new Error('connection closed')))
  }

  /** @param message each character a byte, or bytes */
  send(message: string | Buffer, user: WireUser): void {
    this.#user = user
    if (typeof message === 'string') this.socket.write(message, 'latin1')
    else this.socket.write(message)
  }

  /** The user hears nothing of it any more. */
  release(): void {
    this.#user = undefined
    if (this.socket.isPaused()) this.socket.resume()
  }

  destroy(): void {
    this.#user = undefined
    this.socket.destroy()
  }

  #lose(err: Error | undefined): void {
    const user = this.#user
    this.destroy()
    user?.lost(err)
  }
}
