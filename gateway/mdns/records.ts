/** The records of one published name, and who may keep a name that two hosts ask for at once. Pure. */

import type { NsecAnswer, StringAnswer } from 'dns-packet'
import { parseIpv4 } from '../../core/addr.ts'
import type { ResourceRecord } from './message.ts'

/** RFC 6762 10: of records that name a host. A cache asks again at 80 % of it. */
export const HOST_TTL_S = 120
/** RFC 6762 6.7: for resolvers that know nothing of mDNS and hear of no change. */
const LEGACY_TTL_S = 10

export interface Named {
  /** `web.local` */
  readonly name: string
  /** `192.0.2.7` */
  readonly address: string
}

/** The top bit of its class tells caches that it replaces all that they know of the name (RFC 6762 10.2). */
export const addressRecord = ({ name, address }: Named): StringAnswer => ({
  name,
  type: 'A',
  ttl: HOST_TTL_S,
  flush: true,
  data: address,
})

/** RFC 6762 10.1: it is forgotten a second later. */
export const goodbyeRecord = (named: Named): StringAnswer => ({ ...addressRecord(named), ttl: 0 })

/** RFC 6762 8.2, 6.7: in probes, and for conventional DNS, the top bit would be another class. */
export const probedRecord = ({ name, address }: Named): StringAnswer => ({
  name,
  type: 'A',
  ttl: HOST_TTL_S,
  data: address,
})

export const legacyRecord = (named: Named): StringAnswer => ({ ...probedRecord(named), ttl: LEGACY_TTL_S })

/**
 * RFC 6762 6.1: the name has an A record and no other, so that a browser does not wait for AAAA.
 */
export const onlyAddressRecord = ({ name }: Pick<Named, 'name'>): NsecAnswer => ({
  name,
  type: 'NSEC',
  ttl: HOST_TTL_S,
  flush: true,
  data: { nextDomain: name, rrtypes: ['A'] },
})

/** `same`: nothing to decide, as the other has the same record. */
export type Outcome = 'won' | 'lost' | 'same'

/**
 * RFC 6762 8.2: two hosts probe for one name. Their records are sorted by type and value and compared pair by pair; the
 * host with the later one keeps the name. This host has one record, of type A, which is the smallest type, so the
 * other's smallest A decides; if it is the same, the host with more records wins.
 */
export function tiebreak(own: string, theirs: readonly ResourceRecord[]): Outcome {
  const records = theirs.filter((r) => !('class' in r) || r.class === undefined || r.class === 'IN')
  if (records.length === 0) return 'same'
  const addresses = records.flatMap((r) => (r.type === 'A' ? (parseIpv4(r.data) ?? []) : []))
  const mine = parseIpv4(own) ?? 0
  if (addresses.length === 0) return 'lost'
  const smallest = Math.min(...addresses)
  if (mine !== smallest) return mine > smallest ? 'won' : 'lost'
  return records.length > 1 ? 'lost' : 'same'
}
