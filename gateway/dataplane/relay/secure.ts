/**
 * TLS from end to end inside a relayed stream, with the two ends' own certificates.
 *
 * So the relay can only pass the stream on or break it.
 */

import type { Duplex } from 'node:stream'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { Alpn, peerIdOfSocket, tlsOptions } from '../../links/tls.ts'
import type { Identity, Membership } from '../../links/types.ts'
import { boundUnsent } from './buffers.ts'

export interface Secured {
  readonly socket: TLSSocket
  /** Of the other end's certificate. */
  readonly keyId: string
}

export interface SecureDeps {
  readonly identity: Identity
  readonly membership: Membership
  /** Who the other end has to be. */
  readonly hostId: number
  readonly relay: number
  /** Its abort ends the try. */
  readonly signal: AbortSignal
}

/** The relay led to another host, or the host is no member any more. */
export class WrongEnd extends Error {
  override readonly name = 'WrongEnd'
}

/** The first byte of the end that was asked: the connection is kept. Two ends may ask at once, and keep one. */
const KEPT = Buffer.from([1])

/** For the end that asked. Resolves when the other has said that it keeps the connection. */
export function secureAsClient(stream: Duplex, deps: SecureDeps): Promise<Secured> {
  return orDestroy(stream, async () => {
    const socket = connect({
      ...tlsOptions(deps.identity),
      socket: stream,
      ALPNProtocols: [Alpn.data],
      servername: '',
      // Judged below, as at the other end.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    })
    socket.on('error', () => socket.destroy())
    await settle(socket, deps, (resolve) => socket.once('secureConnect', () => resolve(socket)))
    const secured = judge(socket, deps)
    await settle(socket, deps, (resolve) => {
      const read = (): void => {
        if (socket.read(KEPT.length) === null) return
        socket.off('readable', read)
        resolve(socket)
      }
      socket.on('readable', read)
    })
    return secured
  })
}

/** For the end that was asked, which says with `keep` that the connection stays. */
export function secureAsServer(stream: Duplex, deps: SecureDeps): Promise<Secured> {
  return orDestroy(stream, async () => {
    // A server that listens nowhere: Node says only of a server's sockets whether a client's chain is good.
    const server = createServer({
      ...tlsOptions(deps.identity),
      ALPNProtocols: [Alpn.data],
      requestCert: true,
      rejectUnauthorized: false,
    })
    const socket = await settle(stream, deps, (resolve, reject) => {
      server.once('secureConnection', resolve)
      server.once('tlsClientError', reject)
      server.emit('connection', stream)
    })
    socket.on('error', () => socket.destroy())
    return judge(socket, deps)
  })
}

export const keep = ({ socket }: Secured): void => void socket.write(KEPT)

/** @throws {WrongEnd} who the other end is, when that is not who it has to be */
function judge(socket: TLSSocket, { identity, membership, hostId, relay }: SecureDeps): Secured {
  const id = peerIdOfSocket(socket, identity.cluster)
  if (id?.hostId !== hostId) {
    const who = id === undefined ? 'no host of this cluster' : `host ${id.hostId}`
    throw new WrongEnd(`behind host ${relay} is ${who}, not host ${hostId}`)
  }
  const refusal = membership.refusal(hostId, id.keyId)
  if (refusal !== undefined) throw new WrongEnd(refusal)
  if (socket.alpnProtocol !== Alpn.data) throw new WrongEnd('no protocol of ours')
  // As the stream around it; but closing it closes both directions.
  socket.allowHalfOpen = false
  return { socket, keyId: id.keyId }
}

/** What `start` resolves with, unless the stream ends or the signal comes first. */
function settle(
  stream: Duplex,
  { signal }: SecureDeps,
  start: (resolve: (socket: TLSSocket) => void, reject: (err: unknown) => void) => void,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const over = (): void => {
      signal.removeEventListener('abort', aborted)
      stream.off('close', closed)
      stream.off('error', failed)
    }
    const failed = (err: unknown): void => {
      over()
      reject(err)
    }
    const aborted = (): void => failed(signal.reason)
    const closed = (): void => failed(new Error('the other end closed the connection'))
    signal.addEventListener('abort', aborted)
    stream.once('close', closed)
    stream.once('error', failed)
    if (signal.aborted) return aborted()
    if (stream.destroyed) return closed()
    start((socket) => {
      over()
      resolve(socket)
    }, failed)
  })
}

/** Whatever goes wrong ends the stream. */
async function orDestroy(stream: Duplex, act: () => Promise<Secured>): Promise<Secured> {
  // An error without a listener would end the process.
  stream.on('error', () => stream.destroy())
  boundUnsent(stream)
  try {
    return await act()
  } catch (err) {
    stream.destroy()
    throw err
  }
}
