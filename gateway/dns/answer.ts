/** What a name is answered: by our containers, by nothing, or by the host's servers. Pure but for its look-up. */

import { formatIpv4, octetOf, type Prefix4, prefixBase } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import { exactName, type NameLookup } from '../registry/names.ts'
import type { Content, Query, ResourceRecord } from './message.ts'

export interface Zone {
  /** `flatnet.internal`, lower case. */
  readonly domain: string
  readonly supernet: Prefix4
  /** Without reserved names, and without hosts that are gone. */
  readonly lookup: NameLookup
}

/** `ours`: answered here, also with nothing. `foreign`: for the host's servers. */
export type Answer =
  | ({ readonly kind: 'ours' } & Content)
  | { readonly kind: 'foreign' }
  | { readonly kind: 'refused' }

/** A container that starts anew may get another address, so its old one must not live long in caches. */
const TTL_S = 5
/** A name that is missing is often asked for right before its container starts. */
const MISSING_TTL_S = 1

const FOREIGN: Answer = { kind: 'foreign' }
const REVERSE = '.in-addr.arpa'

export function answer(query: Query, zone: Zone): Answer {
  // `CH TXT version.bind` and the like: no container needs it.
  if (query.class !== 'IN' && query.class !== 'ANY') return { kind: 'refused' }
  const name = query.name.toLowerCase()
  if (name === zone.domain) return apex(query, zone)
  if (name.endsWith(`.${zone.domain}`))
    return byName(query, name.slice(0, -zone.domain.length - 1), zone) ?? missing(zone)
  if (name.endsWith(REVERSE)) return reverse(query, name.slice(0, -REVERSE.length), zone)
  // RFC 6761 6.3: it means the machine that asks, so no other server is asked.
  if (name === 'localhost' || name.endsWith('.localhost')) return missing(zone)
  // Names with dots only below the domain: no container may stand for github.com.
  return name.includes('.') ? FOREIGN : (byName(query, name, zone) ?? FOREIGN)
}

function apex(query: Query, zone: Zone): Answer {
  if (query.type !== 'SOA' && query.type !== 'ANY') return nothing(zone)
  return { kind: 'ours', rcode: 'NOERROR', isOurs: true, answers: [soa(zone)] }
}

/** @returns undefined: no container has the name */
function byName(query: Query, name: string, zone: Zone): Answer | undefined {
  const found = exactName(name, zone.lookup)
  if (found === undefined) return undefined
  const answers = found.ips.flatMap((ip): ResourceRecord[] => {
    const type = ip.includes(':') ? 'AAAA' : 'A'
    if (query.type !== type && query.type !== 'ANY') return []
    return [{ name: query.name, type, ttl: TTL_S, data: ip }]
  })
  if (answers.length === 0) return nothing(zone)
  return { kind: 'ours', rcode: 'NOERROR', isOurs: true, answers }
}

/**
 * All of the supernet is ours, and its addresses are never asked for elsewhere.
 * @param reversed `10.1.100.10`, or less of it
 */
function reverse(query: Query, reversed: string, zone: Zone): Answer {
  const octets = reversed.split('.').reverse().map(octetOf)
  if (octets.length > 4 || octets.includes(undefined)) return FOREIGN
  const bits = octets.length * 8
  const ip = [0, 1, 2, 3].reduce((sum, i) => sum * 256 + (octets[i] ?? 0), 0)
  const { base, prefixLen } = zone.supernet
  const isInside = bits >= prefixLen && prefixBase(ip, prefixLen) === base
  if (!isInside) return FOREIGN
  if (bits < 32) return nothing(zone)
  const text = formatIpv4(ip)
  const holder = zone.lookup.byIp(text)
  if (holder === undefined) return missing(zone)
  if (query.type !== 'PTR' && query.type !== 'ANY') return nothing(zone)
  const data = `${nameOf(holder, text, zone)}.${zone.domain}`
  const record: ResourceRecord = { name: query.name, type: 'PTR', ttl: TTL_S, data }
  return { kind: 'ours', rcode: 'NOERROR', isOurs: true, answers: [record] }
}

/** The container's name, if that leads back to it; else its address with dashes. */
function nameOf(holder: Assignment, ip: string, { lookup }: Zone): string {
  const { name } = holder
  const leadsBack = name !== undefined && isHostName(name) && exactName(name, lookup)?.assignment === holder
  return leadsBack ? name : ip.replaceAll('.', '-')
}

/** RFC 1035 2.3.4: a label has 63 bytes at most. */
const isHostName = (name: string): boolean => /^(?=.{1,150}$)[\w-]{1,63}(\.[\w-]{1,63})*$/.test(name)

/** The name is there, without a record of this type. "No such name" to AAAA would hide its A from musl. */
const nothing = (zone: Zone): Answer => ({
  kind: 'ours',
  rcode: 'NOERROR',
  isOurs: true,
  authorities: [soa(zone)],
})

const missing = (zone: Zone): Answer => ({
  kind: 'ours',
  rcode: 'NXDOMAIN',
  isOurs: true,
  authorities: [soa(zone)],
})

/** RFC 2308 3: without it nothing says how long a missing name may be remembered. */
const soa = ({ domain }: Zone): ResourceRecord => ({
  name: domain,
  type: 'SOA',
  ttl: MISSING_TTL_S,
  data: {
    mname: domain,
    rname: `hostmaster.${domain}`,
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: MISSING_TTL_S,
  },
})
