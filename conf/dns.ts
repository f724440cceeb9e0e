/** The section `dns` of flatnet.yaml: names for containers. */

import { isIP } from 'node:net'
import { refuseUnknown } from './daemon-values.ts'
import type { Reader } from './reader.ts'

export interface DnsConf {
  readonly enabled: boolean
  /** Lower case, without a dot at its ends. */
  readonly domain: string
  /** Where all other names are asked for; empty: this host's own servers. */
  readonly servers: readonly { readonly host: string; readonly port: number }[]
}

const DEFAULT_DNS_DOMAIN = 'flatnet.internal'
/** Leaves room for a container's name before it. */
const DOMAIN_RE =
  /^(?=.{1,100}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/
/** RFC 6762: asked by multicast, so containers would never ask us. RFC 6761: never asked at all. */
const TAKEN = ['local', 'localhost', 'arpa', 'invalid']
/** As in resolv.conf, which glibc reads to its third server. */
const MAX_SERVERS = 3

export function readDns(top: Reader): DnsConf {
  const dns = top.object('dns')
  refuseUnknown(dns, top.get('dns'), ['enabled', 'domain', 'servers'])
  const allowed = `must be a domain, e.g. "${DEFAULT_DNS_DOMAIN}", and not ${TAKEN.join(', ')} or below them`
  const domain = dns.parsed('domain', DEFAULT_DNS_DOMAIN, allowed, parseDomain)
  const given = dns.array('servers')
  const servers = given.flatMap((text) => (typeof text === 'string' ? (parseServer(text) ?? []) : []))
  if (servers.length < given.length || servers.length > MAX_SERVERS) {
    const example = '["192.0.2.53", "192.0.2.54:5353", "[2001:db8::53]:53"]'
    dns.problem(
      'servers',
      `must be at most ${MAX_SERVERS} addresses, each with or without a port, e.g. ${example}`,
    )
  }
  return { enabled: dns.boolean('enabled', true), domain: domain ?? DEFAULT_DNS_DOMAIN, servers }
}

function parseDomain(text: string): string | undefined {
  const domain = text.toLowerCase().replace(/\.$/, '')
  const isTaken = TAKEN.some((taken) => domain === taken || domain.endsWith(`.${taken}`))
  return DOMAIN_RE.test(domain) && !isTaken && /[a-z]/.test(domain) ? domain : undefined
}

function parseServer(text: string): { host: string; port: number } | undefined {
  if (isIP(text) !== 0) return { host: text, port: 53 }
  const [, v6, v4, digits] = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(text) ?? []
  const host = v6 ?? v4 ?? ''
  const port = Number(digits)
  const isGood = isIP(host) === (v6 === undefined ? 4 : 6) && port >= 1 && port <= 65_535
  return isGood ? { host, port } : undefined
}
