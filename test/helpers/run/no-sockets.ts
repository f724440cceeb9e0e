/** Holds the unit suite to its rule: a unit test that listens or connects fails and says where it belongs. */
import { Socket as Datagrams } from 'node:dgram'
import { Server, Socket } from 'node:net'

/** This variable tells a test worker which suite it runs. */
export const SUITE = 'FLATNET_TEST_SUITE'

function refuse(): never {
  throw new Error('a unit test opened a socket: its file belongs in test/loopback')
}

/** Acts on the whole process from now on. TLS, HTTP and Unix sockets all go through these three. */
export function forbidSockets(): void {
  Server.prototype.listen = refuse
  Socket.prototype.connect = refuse
  Datagrams.prototype.bind = refuse
}
