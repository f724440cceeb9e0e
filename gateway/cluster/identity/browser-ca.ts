/**
 * The cluster's CA for browsers: ECDSA on P-256, as Chromium and Firefox refuse the Ed25519 of the cluster's own CA.
 *
 * Its key follows from the cluster's, so every host that admits has the same one, and a backup of `ca.key` has both.
 * Loaded only where `ingress.tls.internal` is set, and by `flatnet ca`.
 */

import 'reflect-metadata'
import { createECDH, createHash, createPrivateKey, hkdfSync, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { Millis } from '../../../core/clock.ts'
import { keyToPem, readRequest, serialNumber } from './certificates.ts'
import { SKEW } from './life.ts'

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
/** FIPS 186-5, D.1.2.3: the order of P-256. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const PURPOSE = 'flatnet CA for browsers 1'
/** As those of hosts; renewed at two thirds. */
const DAYS = 90
const DAY: Millis = 86_400_000

export interface BrowserCa {
  readonly certPem: string
  readonly cert: X509Certificate
  readonly key: webcrypto.CryptoKey
}

/** FIPS 186-5 A.2.1, with HKDF (RFC 5869) for its random bits: 384 of them, so that the remainder has no bias. */
async function derivedKeys(caKeyPem: string): Promise<webcrypto.CryptoKeyPair> {
  const { d: seed = '' } = createPrivateKey(caKeyPem).export({ format: 'jwk' })
  const bits = hkdfSync('sha256', Buffer.from(seed, 'base64url'), Buffer.alloc(0), PURPOSE, 48)
  const scalar = (BigInt(`0x${Buffer.from(bits).toString('hex')}`) % (ORDER - 1n)) + 1n
  const d = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex')
  const ecdh = createECDH('prime256v1')
  ecdh.setPrivateKey(d)
  const point = ecdh.getPublicKey()
  const text = (bytes: Buffer): string => bytes.toString('base64url')
  const common = { kty: 'EC', crv: 'P-256', x: text(point.subarray(1, 33)), y: text(point.subarray(33)) }
  const read = (jwk: webcrypto.JsonWebKey, use: 'sign' | 'verify') =>
    webcrypto.subtle.importKey('jwk', jwk, ECDSA, true, [use])
  return {
    privateKey: await read({ ...common, d: text(d) }, 'sign'),
    publicKey: await read(common, 'verify'),
  }
}

/**
 * The same name, key, number and dates each time, so that a browser that has one of them knows all. It signs
 * certificates of servers and no CA below it.
 */
export async function browserCa(cluster: string, caPem: string, caKeyPem: string): Promise<BrowserCa> {
  const keys = await derivedKeys(caKeyPem)
  const { notBefore, notAfter } = new X509Certificate(caPem)
  const cert = await X509CertificateGenerator.createSelfSigned({
    serialNumber: `40${createHash('sha256').update(PURPOSE).update(caPem).digest('hex').slice(0, 30)}`,
    name: `CN=Flatnet cluster ${cluster} for browsers`,
    notBefore,
    notAfter,
    signingAlgorithm: ECDSA,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert, certPem: cert.toString('pem'), key: keys.privateKey }
}

export async function makeServerRequest(): Promise<{ keyPem: string; requestPem: string }> {
  const keys = (await webcrypto.subtle.generateKey(ECDSA, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=Flatnet',
    keys,
    signingAlgorithm: ECDSA,
  })
  return { keyPem: await keyToPem(keys.privateKey), requestPem: request.toString('pem') }
}

/**
 * The caller has judged the names.
 * @throws {Error} the text is no request, or its signature does not prove possession of the key
 */
export async function issueForServer(
  ca: BrowserCa,
  requestPem: string,
  names: readonly string[],
  now: Millis,
): Promise<string> {
  const request = await readRequest(requestPem)
  const cert = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: 'CN=Flatnet ingress',
    issuer: ca.cert.subject,
    notBefore: new Date(now - SKEW),
    notAfter: new Date(Math.min(now + DAYS * DAY, ca.cert.notAfter.getTime())),
    signingAlgorithm: ECDSA,
    publicKey: request.publicKey,
    signingKey: ca.key,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }) as const),
      ),
      await SubjectKeyIdentifierExtension.create(request.publicKey),
      await AuthorityKeyIdentifierExtension.create(ca.cert.publicKey),
    ],
  })
  return cert.toString('pem')
}
