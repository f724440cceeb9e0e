/** Where plain HTTP is sent when `ingress.tls.redirect` is set. Pure. */

export interface RedirectFacts {
  /** Raw request target. */
  readonly url: string
  /** Raw Host header; undefined only with HTTP/1.0. */
  readonly host: string | undefined
  /** Of the listener for HTTPS. */
  readonly port: number
  /** How the client came, by a trusted proxy in front; undefined: there is none, or it does not say. */
  readonly scheme: 'https' | 'http' | undefined
}

/** A CA that proves a domain asks by plain HTTP (RFC 8555 8.3), before there is a certificate. */
const PROOF = '/.well-known/acme-challenge/'

/** @returns undefined: the request is served as it came */
export function httpsLocation({ url, host, port, scheme }: RedirectFacts): string | undefined {
  if (scheme === 'https') return undefined
  const target = /^(?:http:\/\/([^/?#@]*))?(\/[^#]*)?$/i.exec(url)
  if (target === null) return undefined
  const [, authority = host ?? '', path = ''] = target
  const [, name] = /^(\[[0-9a-f:.]+\]|[^\s[\]@/\\?#:,"<>]+)(?::\d{0,5})?$/i.exec(authority) ?? []
  if (name === undefined || path.startsWith(PROOF)) return undefined
  return `https://${name}${port === 443 ? '' : `:${port}`}${path || '/'}`
}
