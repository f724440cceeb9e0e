/**
 * Bounds connections whose handshake is not done, for each address and in all.
 *
 * Any machine may open them. Where all places are taken, the oldest connection makes room (gateway/base/places.ts).
 */

import type { Socket } from 'node:net'
import { Places } from '../base/places.ts'

/**
 * A host that comes up opens a handful; one without a tunnel up to a hundred, for its pages. Several may share an
 * address behind NAT.
 */
const MAX_OF_ADDRESS = 256
/** 254 hosts that come back at once have two each. */
const MAX_IN_ALL = 1_024

export class HandshakeGuard {
  /** By address, then by port: TLS gives its own socket when the handshake is done. */
  readonly #places = new Places<number>({ max: MAX_IN_ALL, maxOfClient: MAX_OF_ADDRESS })

  /** @returns false: it has been reset already; otherwise it is counted until `done` or its end */
  admit(socket: Socket): boolean {
    const { remoteAddress: address, remotePort: port } = socket
    if (address === undefined || port === undefined) return false
    this.#places.enter(address, port, socket)
    return true
  }

  /** Its handshake is done. */
  done({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    this.#places.leave(remoteAddress ?? '', remotePort ?? 0)
  }

  stop(): void {
    this.#places.closeAll()
  }
}
