/**
 * A member that has gone bad: it makes the data connection to a peer with its own host's key, and sends hex frames of
 * its own making, one by a line of stdin. Prints `open`, and `closed` when the peer has had enough. Run in the host's
 * namespace.
 */
import { createInterface } from 'node:readline'
import { Alpn, dialPeer } from '../../../gateway/links/tls.ts'
import { ownProgram } from '../run/own-program.ts'
import { identityIn } from './hostile-peer.ts'

/** The command: `dataDir` of the host whose identity is used, and whom it dials. */
export const hostilePackets = (dataDir: string, hostId: number, endpoint: string): [string, ...string[]] =>
  ownProgram(import.meta.filename, dataDir, hostId, endpoint)

if (process.argv[1] === import.meta.filename) {
  const [, , dataDir = '', hostId = '', endpoint = ''] = process.argv
  const socket = dialPeer(identityIn(dataDir), Number(hostId), endpoint, Alpn.data, () => undefined)
  socket.on('error', () => {})
  socket.resume()
  socket.once('secureConnect', () => process.stdout.write('open\n'))
  socket.once('close', () => {
    process.stdout.write('closed\n')
    process.exit(0)
  })
  createInterface({ input: process.stdin }).on('line', (line) => socket.write(Buffer.from(line, 'hex')))
}
