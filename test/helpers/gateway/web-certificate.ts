/** Certificates for HTTPS as a public CA would issue them: EC keys, names, in PEM files. */

import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BasicConstraintsExtension,
  type JsonGeneralName,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY = 86_400_000

const makeKeys = () =>
  webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>

export interface WebCa {
  readonly cert: X509Certificate
  readonly pem: string
  readonly keys: webcrypto.CryptoKeyPair
}

export async function webCa(): Promise<WebCa> {
  const keys = await makeKeys()
  const cert = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=A CA of tests',
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + DAY),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new BasicConstraintsExtension(true, 0, true)],
  })
  return { cert, pem: cert.toString('pem'), keys }
}

export interface WebPair {
  readonly certPem: string
  readonly keyPem: string
}

/** @param names `shop.example`, `*.shop.example`, `127.0.0.1` */
export async function webPair(
  ca: WebCa,
  names: readonly string[],
  validTo = Date.now() + DAY,
): Promise<WebPair> {
  const keys = await makeKeys()
  const general = names.map(
    (value): JsonGeneralName => ({ type: /^[\d.]+$/.test(value) ? 'ip' : 'dns', value }),
  )
  const cert = await X509CertificateGenerator.create({
    subject: `CN=${names[0]}`,
    issuer: ca.cert.subject,
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(validTo),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: ca.keys.privateKey,
    extensions: [new SubjectAlternativeNameExtension(general)],
  })
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { certPem: cert.toString('pem'), keyPem: PemConverter.encode(key, 'PRIVATE KEY') }
}

/** @returns `{ cert, key }` as flatnet.yaml has them */
export function writePair(folder: string, name: string, pair: WebPair): { cert: string; key: string } {
  const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)]
  writeFileSync(cert, pair.certPem)
  writeFileSync(key, pair.keyPem, { mode: 0o600 })
  return { cert, key }
}
