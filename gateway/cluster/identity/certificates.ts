/**
 * The cluster's X.509: a CA, requests and host certificates, all Ed25519.
 *
 * Loaded only to make or renew one; TLS itself reads the PEM texts.
 */

import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { Millis } from '../../../core/clock.ts'
import { hostUri, keyIdOfSpki } from '../../links/tls.ts'
import { SKEW } from './life.ts'

const DAY: Millis = 86_400_000
/** Renewing a CA means joining every host anew, so it outlives the cluster. */
const CA_DAYS = 3_650
/**
 * Hosts renew theirs at two thirds (gateway/cluster/identity/renewal.ts).
 * docs/architecture/links.md#certificates.
 */
const HOST_DAYS = 90
const ED25519 = { name: 'Ed25519' }

export interface KeyedPem {
  readonly certPem: string
  /** PKCS #8. Never leaves the host that made it. */
  readonly keyPem: string
}

const makeKeys = () =>
  webcrypto.subtle.generateKey(ED25519, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>

export const keyToPem = async (key: webcrypto.CryptoKey): Promise<string> =>
  PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')

const keyFromPem = (pem: string): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(pem), ED25519, true, ['sign'])

/** 127 random bits, positive, as RFC 5280 4.1.2.2 asks. */
export function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toHex()
}

export async function makeCa(cluster: string, now: Millis): Promise<KeyedPem> {
  const keys = await makeKeys()
  const cert = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Flatnet cluster ${cluster}`,
    notBefore: new Date(now - SKEW),
    notAfter: new Date(now + CA_DAYS * DAY),
    signingAlgorithm: ED25519,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certPem: cert.toString('pem'), keyPem: await keyToPem(keys.privateKey) }
}

/**
 * A key made here and the request for its certificate. The request says nothing of the host: the issuer decides that.
 * @param keyPem of the present key, to renew without changing it
 */
export async function makeRequest(keyPem?: string): Promise<{ keyPem: string; requestPem: string }> {
  const keys = keyPem === undefined ? await makeKeys() : await pairOf(keyPem)
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=Flatnet host',
    keys,
    signingAlgorithm: ED25519,
  })
  return { keyPem: keyPem ?? (await keyToPem(keys.privateKey)), requestPem: request.toString('pem') }
}

async function pairOf(keyPem: string): Promise<webcrypto.CryptoKeyPair> {
  const privateKey = await keyFromPem(keyPem)
  const { kty, crv, x } = await webcrypto.subtle.exportKey('jwk', privateKey)
  const publicKey = await webcrypto.subtle.importKey(
    'jwk',
    { kty, crv, x } as webcrypto.JsonWebKey,
    ED25519,
    true,
    ['verify'],
  )
  return { privateKey, publicKey }
}

export interface Issue {
  readonly cluster: string
  readonly hostId: number
  readonly now: Millis
  readonly days?: number
}

/**
 * Signs a request. The caller has decided that the requester is `hostId`.
 * @throws {Error} the text is no request, or its signature does not prove possession of the key
 */
export async function issue(
  ca: KeyedPem,
  requestPem: string,
  { cluster, hostId, now, days = HOST_DAYS }: Issue,
): Promise<string> {
  const request = await readRequest(requestPem)
  const caCert = new X509Certificate(ca.certPem)
  const cert = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=Flatnet host ${hostId}`,
    issuer: caCert.subject,
    notBefore: new Date(now - SKEW),
    notAfter: new Date(now + days * DAY),
    signingAlgorithm: ED25519,
    publicKey: request.publicKey,
    signingKey: await keyFromPem(ca.keyPem),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([{ type: 'url', value: hostUri(cluster, hostId) }]),
      await SubjectKeyIdentifierExtension.create(request.publicKey),
      await AuthorityKeyIdentifierExtension.create(caCert.publicKey),
    ],
  })
  return cert.toString('pem')
}

/** @throws {Error} the text is no request, or its signature does not prove possession of the key */
export async function readRequest(requestPem: string): Promise<Pkcs10CertificateRequest> {
  const request = new Pkcs10CertificateRequest(requestPem)
  if (!(await request.verify())) throw new Error('the request is not signed by its own key')
  return request
}

/**
 * SHA-256 of the key (SPKI) that a request is for, hex: its future keyId.
 * @throws {Error} the text is no request, or its signature does not prove possession of the key
 */
export async function keyIdOfRequest(requestPem: string): Promise<string> {
  const request = await readRequest(requestPem)
  return keyIdOfSpki(Buffer.from(request.publicKey.rawData))
}
