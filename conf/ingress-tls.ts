/** The section `ingress.tls` of flatnet.yaml: HTTPS for browsers. */

import { isObject } from '../core/json.ts'
import { absolute, parseListen, refuseUnknown } from './daemon-values.ts'
import { Reader } from './reader.ts'

/** Both PEM; the certificate with its intermediates behind it. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
  /** The key of flatnet.yaml that names them, e.g. `ingress.tls` or `ingress.tls.certs[1]`. */
  readonly at: string
}

export interface IngressTlsConf {
  readonly host: string
  readonly port: number
  /** Each serves the names in it; the first serves clients that name no host, or one that no certificate has. */
  readonly certificates: readonly CertificateFiles[]
  /** A certificate of the cluster's CA for this host's own names and addresses. */
  readonly isInternal: boolean
  /** Plain HTTP is answered with 308 to HTTPS. */
  readonly redirect: boolean
  /** Strict-Transport-Security, in seconds; 0: none. */
  readonly hsts: number
}

const KEYS = ['listen', 'cert', 'key', 'certs', 'internal', 'redirect', 'hsts']
const DEFAULT_LISTEN = '0.0.0.0:8443'
/** Two years, what browsers' preload lists ask for at most. */
const MAX_HSTS_S = 63_072_000
/** Each is compared with its file every two seconds. */
const MAX_CERTS = 64

/** @returns undefined: absent or null. `internal` is short for `{ internal: true }`. */
export function readIngressTls(ingress: Reader): IngressTlsConf | undefined {
  const value = ingress.get('tls') ?? undefined
  if (value === undefined) return undefined
  if (typeof value === 'string' && value !== 'internal') {
    ingress.problem('tls', 'must be "internal", or an object with cert and key')
    return undefined
  }
  const tls =
    value === 'internal'
      ? new Reader({ internal: true }, 'ingress.tls.', ingress.problems)
      : ingress.object('tls')
  refuseUnknown(tls, value, KEYS)
  const allowed = 'must be an address and a port, e.g. "0.0.0.0:8443" or "[::]:443"'
  const listen = tls.parsed('listen', DEFAULT_LISTEN, allowed, parseListen)
  const isInternal = tls.boolean('internal', false)
  const certificates = readCertificates(tls)
  if (certificates.length === 0 && !isInternal)
    tls.problem('cert', 'must be the absolute path of a certificate in PEM, with key; or set internal: true')
  return {
    host: listen?.host ?? '0.0.0.0',
    port: listen?.port ?? 8443,
    certificates,
    isInternal,
    redirect: tls.boolean('redirect', false),
    hsts: tls.integer('hsts', 0, 0, MAX_HSTS_S),
  }
}

function readCertificates(tls: Reader): CertificateFiles[] {
  const first = tls.has('cert') || tls.has('key') ? [readPair(tls, 'ingress.tls')] : []
  const list = tls.array('certs')
  if (list.length > MAX_CERTS) tls.problem('certs', `must be at most ${MAX_CERTS} pairs of cert and key`)
  const more = list.slice(0, MAX_CERTS).map((value, i) => {
    const at = `ingress.tls.certs[${i}]`
    const pair = new Reader(isObject(value) ? value : {}, `${at}.`, tls.problems)
    refuseUnknown(pair, value, ['cert', 'key'])
    return readPair(pair, at)
  })
  return [...first, ...more]
}

const readPair = (reader: Reader, at: string): CertificateFiles => ({
  cert: readPath(reader, 'cert'),
  key: readPath(reader, 'key'),
  at,
})

function readPath(reader: Reader, key: string): string {
  if (reader.has(key)) return absolute(reader, key, '')
  reader.problem(key, 'must be the absolute path of a PEM file; cert and key go together')
  return ''
}
