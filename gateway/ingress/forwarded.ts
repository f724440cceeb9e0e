/** What proxies in front say about how a client reached them. Pure. */

import { type RawHeaders, splitList, valuesOf } from './raw-headers.ts'

/** Besides `X-Forwarded-*`; servers and frameworks take the client's address or scheme from each. */
export const FORWARDED_NAMES: ReadonlySet<string> = new Set([
  'forwarded',
  'front-end-https',
  'x-url-scheme',
  'x-scheme',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'fastly-client-ip',
])

/** Believed from `ingress.trustedProxies` alone. Many servers read `_` as `-`. @param name lower case */
export function isForwarded(name: string): boolean {
  const dashed = name.includes('_') ? name.replaceAll('_', '-') : name
  return dashed.startsWith('x-forwarded-') || FORWARDED_NAMES.has(dashed)
}

type Scheme = 'https' | 'http'

/** Each has a scheme; the first that is there is believed. */
const SCHEMES = ['x-forwarded-scheme', 'x-forwarded-protocol', 'x-url-scheme', 'x-scheme']
/** Each has `on` or `off`. */
const SWITCHES = ['x-forwarded-ssl', 'front-end-https']

/** Of several values the first is that of the proxy which the client reached. */
const firstOf = (raw: RawHeaders, name: string): string | undefined =>
  splitList(valuesOf(raw, name).join(','))[0]?.toLowerCase()

/** How the client came, by a trusted proxy; undefined: it does not say. */
export function schemeSaid(raw: RawHeaders): Scheme | undefined {
  const [, forwarded] = /(?:^|;)\s*proto="?([a-z]+)/.exec(firstOf(raw, 'forwarded') ?? '') ?? []
  const said =
    firstOf(raw, 'x-forwarded-proto') ?? forwarded ?? SCHEMES.flatMap((n) => firstOf(raw, n) ?? [])[0]
  if (said !== undefined) return said === 'https' || said === 'wss' ? 'https' : 'http'
  const [state] = SWITCHES.flatMap((name) => firstOf(raw, name) ?? [])
  return state === undefined ? undefined : state === 'on' ? 'https' : 'http'
}

/** The name that the client asked for, by a trusted proxy. */
export const hostSaid = (raw: RawHeaders): string | undefined => firstOf(raw, 'x-forwarded-host')

/** `/app` where a trusted proxy takes that off the path; else empty. */
export function prefixSaid(raw: RawHeaders): string {
  const values = valuesOf(raw, 'x-forwarded-prefix')
  const [, prefix = ''] = /^((?:\/[^\s/,;?#"<>]+)+)\/?$/.exec(values.length === 1 ? values[0]! : '') ?? []
  return prefix
}

/** The element of `Forwarded` for a client of this gateway (RFC 7239 6). @param address without a port */
export const forwardedFor = (address: string): string =>
  `for=${address.includes(':') ? `"[${address}]"` : address}`
