/**
 * Bounds connections whose handshake is not done, for each client and in all.
 *
 * Any machine may open them. Where all slots are taken, the oldest connection makes room
 * (gateway/base/connection-slots.ts).
 */

import type { Socket } from 'node:net'
import { clientOf } from '../base/client-of.ts'
import { ConnectionSlots } from '../base/connection-slots.ts'

/**
 * A host that comes up opens a handful; one without a tunnel up to a hundred, for its pages. Several may share an
 * address behind NAT, or the /64 of a LAN.
 */
const MAX_OF_CLIENT = 256
/** 254 hosts that come back at once have two each. */
const MAX_IN_ALL = 1_024

export class HandshakeGuard {
  /** By client, then by address and port: TLS gives its own socket when the handshake is done. */
  readonly #slots = new ConnectionSlots<string>({ max: MAX_IN_ALL, maxOfClient: MAX_OF_CLIENT })

  /** @returns false: it has been reset already; otherwise it is counted until `done` or its end */
  admit(socket: Socket): boolean {
    const { remoteAddress: address, remotePort: port } = socket
    if (address === undefined || port === undefined) return false
    this.#slots.enter(clientOf(address), `${address} ${port}`, socket)
    return true
  }

  /** Its handshake is done. */
  done({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#slots.leave(clientOf(remoteAddress), `${remoteAddress} ${remotePort}`)
  }

  stop(): void {
    this.#slots.closeAll()
  }
}
