/** One try to reach a peer at one of its addresses, up to the judgement of its certificate. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../../core/clock.ts'
import { StreamError } from '../streams/stream-frame.ts'
import { type Alpn, dialPeer, type PeerId } from '../tls.ts'
import type { Identity } from '../types.ts'
import type { Attempt } from './race.ts'

/** TCP and TLS handshake together. Also the bound that a listener gives a dialler. */
export const HANDSHAKE_MS: Millis = 5_000
/** For the next address beside the one that has not answered: a handshake on a LAN takes a twentieth. */
export const STAGGER_MS: Millis = 300

export interface Dialled {
  readonly identity: Identity
  readonly hostId: number
  readonly alpn: Alpn
  /** Why the host that answers is refused, though its certificate names the right hostId; undefined: it is not. */
  refusal(id: PeerId, endpoint: string): string | undefined
}

/** What OpenSSL says of certificates and versions, and what that means. */
const MEANINGS: Readonly<Record<string, string>> = {
  CERT_NOT_YET_VALID: "certificate is not yet valid by this host's clock: one of the two clocks is wrong",
  CERT_HAS_EXPIRED:
    "certificate has expired by this host's clock: it was not renewed, or one of the two clocks is wrong",
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
    'it speaks no protocol of ours: install one version everywhere',
}

export const dialAt =
  (endpoint: string, { identity, hostId, alpn, refusal }: Dialled): Attempt<TLSSocket> =>
  (signal) =>
    new Promise((resolve, reject) => {
      const socket = dialPeer(identity, hostId, endpoint, alpn, refusal)
      const aborted = (): void => void socket.destroy(signal.reason)
      signal.addEventListener('abort', aborted)
      socket.setTimeout(HANDSHAKE_MS, () => socket.destroy(new Error(`${endpoint} did not answer in time`)))
      // It stays until the socket has a user: an error without a listener would end the process.
      socket.on('error', (err) => reject(inWords(err, endpoint)))
      socket.once('close', () => {
        signal.removeEventListener('abort', aborted)
        reject(new StreamError(`${endpoint} closed the connection`))
      })
      socket.once('secureConnect', () => {
        signal.removeEventListener('abort', aborted)
        socket.setTimeout(0)
        resolve(socket)
      })
    })

function inWords(err: Error, endpoint: string): Error {
  const meaning = 'code' in err && typeof err.code === 'string' ? MEANINGS[err.code] : undefined
  return meaning === undefined ? err : new StreamError(`${endpoint}: ${meaning}`)
}
