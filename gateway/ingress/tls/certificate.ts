/** One certificate for browsers with its key: read, judged, and made ready for TLS. */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { CertificateFiles } from '../../../conf/ingress-tls.ts'
import type { Millis } from '../../../core/clock.ts'
import { FlatnetError } from '../../../core/errors.ts'

export interface Certificate {
  readonly context: SecureContext
  /** Lower case: `shop.example`, `*.shop.example`. */
  readonly names: readonly string[]
  readonly addresses: readonly string[]
  readonly validTo: Millis
  /** To give TLS the default of clients that name no host. */
  readonly pem: { readonly cert: string; readonly key: string }
}

/** RFC 8996: older versions are for no one. Renegotiation costs the server more than the client. */
export const TLS_OPTIONS = { minVersion: 'TLSv1.2', secureOptions: 0x40000000 } as const

/**
 * @param texts what the files hold
 * @throws {FlatnetError} ERR_FLATNET_CONFIG: names key, file and the way out
 */
export function readCertificate(files: CertificateFiles, texts: { cert: string; key: string }): Certificate {
  const cert = parsed(files, 'cert', () => new X509Certificate(texts.cert))
  const key = parsed(files, 'key', () => createPrivateKey(texts.key))
  if (!matches(cert, key))
    throw unusable(files, 'key', `is not the key of ${files.cert}`, 'name the key that it was made with')
  const context = parsed(files, 'cert', () => createSecureContext({ ...TLS_OPTIONS, ...texts }))
  return { context, ...namesOf(cert), validTo: Date.parse(cert.validTo), pem: texts }
}

/** Why browsers refuse a certificate that can be served; undefined: they do not for its dates. */
export function datesProblem(
  { at, cert }: CertificateFiles,
  { validTo }: Certificate,
  now: Millis,
): string | undefined {
  if (now < validTo) return undefined
  const when = new Date(validTo).toISOString()
  return `${at}.cert is "${cert}": it expired at ${when}; browsers refuse it: write a renewed one there`
}

export function unusable(
  files: CertificateFiles,
  key: 'cert' | 'key',
  what: string,
  wayOut: string,
  cause?: unknown,
): FlatnetError {
  return new FlatnetError(
    'ERR_FLATNET_CONFIG',
    `${files.at}.${key} is "${files[key]}": it ${what}; ${wayOut}`,
    {
      cause,
    },
  )
}

function parsed<T>(files: CertificateFiles, key: 'cert' | 'key', parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (key === 'key' && String(cause).includes('passphrase'))
      throw unusable(files, key, 'has a passphrase', 'write it without one: openssl pkey -in KEY', cause)
    const kind = key === 'cert' ? 'a certificate' : 'a private key'
    throw unusable(files, key, `does not hold ${kind} in PEM`, 'begin it with -----BEGIN', cause)
  }
}

function matches(cert: X509Certificate, key: KeyObject): boolean {
  try {
    return cert.checkPrivateKey(key)
  } catch {
    // Of another kind, e.g. RSA and EC.
    return false
  }
}

function namesOf({ subjectAltName = '' }: X509Certificate): { names: string[]; addresses: string[] } {
  const of = (kind: string): string[] =>
    subjectAltName
      .split(', ')
      .filter((name) => name.startsWith(kind))
      .map((name) => name.slice(kind.length).toLowerCase())
  return { names: of('DNS:'), addresses: of('IP Address:') }
}
