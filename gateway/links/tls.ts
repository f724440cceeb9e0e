/**
 * TLS between gateways: version 1.3, both sides with certificates of the cluster's CA.
 *
 * The certificate also says the hostId.
 */

import { createHash, X509Certificate } from 'node:crypto'
import { type ConnectionOptions, connect, type PeerCertificate, type TLSSocket } from 'node:tls'
import type { Identity } from './types.ts'

/** What a connection is for; by ALPN, so that one port serves all. */
export const Alpn = {
  control: 'flatnet-control/1',
  data: 'flatnet-data/1',
  stream: 'flatnet-stream/1',
  join: 'flatnet-join/1',
} as const
export type Alpn = (typeof Alpn)[keyof typeof Alpn]

export interface PeerId {
  readonly hostId: number
  readonly keyId: string
}

const URI_RE = /^flatnet:\/\/([a-z0-9-]{1,63})\/host\/([1-9]\d{0,4})$/

export const hostUri = (cluster: string, hostId: number): string => `flatnet://${cluster}/host/${hostId}`

/** @param spki the public key, DER. @returns its SHA-256, hex: what the membership knows a host by */
export const keyIdOfSpki = (spki: Uint8Array): string => createHash('sha256').update(spki).digest('hex')

export const keyIdOf = (cert: X509Certificate): string =>
  keyIdOfSpki(cert.publicKey.export({ type: 'spki', format: 'der' }))

/**
 * Who a certificate says its holder is. The chain has been checked by TLS; this reads the one URI that counts.
 * @returns undefined for a certificate of another cluster, or one that is no host's
 */
export function peerIdOf(cert: X509Certificate, cluster: string): PeerId | undefined {
  const uris = (cert.subjectAltName ?? '')
    .split(', ')
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice('URI:'.length))
  const [, found, hostId] = (uris.length === 1 && URI_RE.exec(uris[0] ?? '')) || []
  if (found !== cluster || hostId === undefined) return undefined
  return { hostId: Number(hostId), keyId: keyIdOf(cert) }
}

/** Of the other side of a socket whose handshake is done and whose chain was verified. */
export function peerIdOfSocket(socket: TLSSocket, cluster: string): PeerId | undefined {
  if (!socket.authorized) return undefined
  const cert = socket.getPeerX509Certificate()
  return cert === undefined ? undefined : peerIdOf(cert, cluster)
}

/** Both sides' part of every connection. */
export const tlsOptions = (identity: Identity) => ({
  ca: identity.caPem,
  cert: identity.certPem,
  key: identity.keyPem,
  minVersion: 'TLSv1.3' as const,
})

/** `10.0.0.7:7443`, `[fd00::7]:7443` or `name:7443`. */
export function parseEndpoint(text: string): { host: string; port: number } | undefined {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const number = Number(port)
  return host === undefined || number < 1 || number > 65_535 ? undefined : { host, port: number }
}

/**
 * Dials a peer. The certificate has to be that of `hostId`, so a reused address leads to no other host. Nor does it
 * lead to the host's old machine, whose certificate still names it: `refusal` judges the key before this host shows
 * its own. The caller bounds the handshake and listens to `error`.
 */
export function dialPeer(
  identity: Identity,
  hostId: number,
  endpoint: string,
  alpn: Alpn,
  refusal: (id: PeerId, endpoint: string) => string | undefined,
): TLSSocket {
  const place = parseEndpoint(endpoint)
  if (place === undefined) throw new Error(`endpoint ${JSON.stringify(endpoint)}: must be host:port`)
  const options: ConnectionOptions & { readonly allowHalfOpen: boolean } = {
    ...tlsOptions(identity),
    ...place,
    ALPNProtocols: [alpn],
    allowHalfOpen: alpn === Alpn.stream,
    servername: '',
    checkServerIdentity: (_host: string, cert: PeerCertificate) => {
      const found = peerIdOf(new X509Certificate(cert.raw), identity.cluster)
      if (found?.hostId !== hostId) {
        const who = found === undefined ? 'no host of this cluster' : `host ${found.hostId}`
        return new Error(`${endpoint} is ${who}, not host ${hostId}`)
      }
      const reason = refusal(found, endpoint)
      return reason === undefined ? undefined : new Error(`${endpoint} is not let in: ${reason}`)
    },
  }
  return connect(options)
}
