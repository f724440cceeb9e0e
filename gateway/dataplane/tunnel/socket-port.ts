/** A TLS socket as the tunnel's port to a peer: bytes in to the tunnel, frames out without a copy. */
import type { TLSSocket } from 'node:tls'
import type { DataPort } from './sender.ts'

/** Of the socket given by `LinkEvents.dataUp`. Switches Nagle's algorithm off: a batch is whole when it is written. */
export function socketPort(socket: TLSSocket): DataPort {
  socket.setNoDelay(true)
  return {
    write: (bytes, done) => void socket.write(bytes, () => done()),
    get writableLength() {
      return socket.writableLength
    },
  }
}
