/**
 * Bounds connections whose handshake is not done, for each address and in all.
 *
 * Any machine may open them.
 */

import type { Socket } from 'node:net'

/**
 * A host that comes up opens a handful; one without a tunnel up to a hundred, for its pages. Several may share an
 * address behind NAT.
 */
const MAX_OF_ADDRESS = 256
/** 254 hosts that come back at once have two each. */
const MAX_IN_ALL = 1_024

export class HandshakeGuard {
  /** By address, then by port. */
  readonly #open = new Map<string, Map<number, Socket>>()
  #count = 0

  /** @returns false: too many; otherwise it is counted until `done` or its end */
  admit(socket: Socket): boolean {
    const { remoteAddress: address, remotePort: port } = socket
    // It has been reset already.
    if (address === undefined || port === undefined) return false
    const sockets = this.#open.get(address) ?? new Map<number, Socket>()
    if (sockets.size >= MAX_OF_ADDRESS) return false
    if (this.#count >= MAX_IN_ALL) this.#dropOne()
    this.#open.set(address, sockets.set(port, socket))
    this.#count++
    socket.once('close', () => this.done({ remoteAddress: address, remotePort: port }))
    return true
  }

  /** Its handshake is done. */
  done({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    const sockets = this.#open.get(remoteAddress ?? '')
    if (sockets === undefined || !sockets.delete(remotePort ?? 0)) return
    this.#count--
    if (sockets.size === 0) this.#open.delete(remoteAddress ?? '')
  }

  stop(): void {
    for (const sockets of this.#open.values()) for (const socket of sockets.values()) socket.destroy()
  }

  /** Drops a connection of the address that has most: members have few. */
  #dropOne(): void {
    const [most] = [...this.#open].sort(([, a], [, b]) => b.size - a.size)
    if (most === undefined) return
    const [address, sockets] = most
    for (const [port, socket] of sockets) {
      this.done({ remoteAddress: address, remotePort: port })
      socket.destroy()
      return
    }
  }
}
