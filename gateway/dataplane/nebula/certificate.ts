/** Judges the certificates with which this host takes part in Nebula. Pure: what nebula-cert prints in, words out. */

import {
  formatIpv4,
  formatPrefix,
  ipOfCidr,
  type Prefix4,
  parseCidr4,
  prefixBase,
} from '../../../core/addr.ts'
import { isObject } from '../../../core/json.ts'
import { NEBULA_GROUP, nebulaAddress, sliceOf } from './overlay.ts'

export interface NebulaCertificate {
  readonly name: string
  readonly fingerprint: string
  /** Fingerprint of its CA; empty: it is one. */
  readonly issuer: string
  readonly groups: readonly string[]
  /** `10.101.0.2/16` */
  readonly networks: readonly string[]
  /** `10.100.2.0/24` */
  readonly slices: readonly string[]
  /** ms since the epoch. */
  readonly validFrom: number
  readonly validTo: number
}

const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []

function certificateOf(value: unknown): NebulaCertificate | undefined {
  if (!isObject(value) || !isObject(value['details'])) return undefined
  const { details, fingerprint } = value
  return {
    name: String(details['name']),
    fingerprint: String(fingerprint),
    issuer: String(details['issuer'] ?? ''),
    groups: strings(details['groups']),
    // 1.10 renamed both.
    networks: strings(details['networks'] ?? details['ips']),
    slices: strings(details['unsafeNetworks'] ?? details['subnets']),
    validFrom: Date.parse(String(details['notBefore'])),
    validTo: Date.parse(String(details['notAfter'])),
  }
}

/** @param printed by `nebula-cert print -json`: a line for each until 1.9, a list since 1.10 */
export function parseCertificates(printed: string): NebulaCertificate[] {
  return printed.split('\n').flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line)
      return [value].flat().flatMap((each) => certificateOf(each) ?? [])
    } catch {
      return []
    }
  })
}

export interface CertificateFacts {
  /** Of ca.crt, which may hold several. */
  readonly cas: readonly NebulaCertificate[]
  /** Of host.crt; two where it is of both versions. */
  readonly host: readonly NebulaCertificate[]
  readonly hostId: number
  readonly network: Prefix4
  readonly supernet: Prefix4
  readonly hostPrefix: number
  /** ms since the epoch. */
  readonly now: number
}

const dateText = (ms: number): string =>
  new Date(ms)
    .toISOString()
    .replace(/:\d\d\.\d+Z$/, ' UTC')
    .replace('T', ' ')

function dateProblem(
  file: string,
  { validFrom, validTo }: NebulaCertificate,
  now: number,
): string | undefined {
  if (now > validTo) return `${file} expired on ${dateText(validTo)}`
  if (now >= validFrom) return undefined
  return `${file} is valid from ${dateText(validFrom)} on, and this host's clock says ${dateText(now)}`
}

const SIGN = 'flatnet nebula host on the host with the CA makes another; move the old one away first'
const CLOCK = "set this host's clock"

/** Why hosts could not reach each other, and what to do about it. */
export interface CertificateProblem {
  readonly what: string
  readonly fix: string
}

/** @returns undefined: they are fine */
export function certificateProblem(facts: CertificateFacts): CertificateProblem | undefined {
  const { cas, host, now } = facts
  const [own] = host
  if (own === undefined) return { what: 'host.crt holds no certificate', fix: SIGN }
  const ca = cas.find(({ fingerprint }) => fingerprint === own.issuer)
  if (ca === undefined) {
    const has = cas.length === 0 ? 'holds none' : `is of "${cas.map(({ name }) => name).join('", "')}"`
    const what = `host.crt is signed by a CA that is not in ca.crt, which ${has}`
    return { what, fix: `copy the ca.crt of its CA here, or ${SIGN}` }
  }
  const date = dateProblem('host.crt', own, now)
  if (date !== undefined) return { what: date, fix: now > own.validTo ? SIGN : CLOCK }
  const caDate = dateProblem('ca.crt', ca, now)
  if (caDate !== undefined) return { what: caDate, fix: now > ca.validTo ? NEW_CA : CLOCK }
  const content = contentProblem(own, facts)
  return content === undefined ? undefined : { what: content, fix: SIGN }
}

const NEW_CA = 'flatnet nebula ca makes another CA, and every host needs a certificate of it'

function contentProblem(own: NebulaCertificate, facts: CertificateFacts): string | undefined {
  const { hostId, hostPrefix, network, supernet } = facts
  const slice = sliceOf(supernet, hostPrefix, hostId)
  if (!own.slices.some((text) => holds(text, slice)))
    return `host.crt lacks the slice of this host, ${formatPrefix(slice)} (it has ${own.slices.join(', ') || 'none'})`
  const address = formatIpv4(nebulaAddress(network, hostId))
  if (!own.networks.some((text) => ipOfCidr(text) === address))
    return `host.crt is for ${own.networks.join(', ')}, and this host is ${address} inside Nebula`
  if (own.groups.includes(NEBULA_GROUP)) return undefined
  return `host.crt lacks the group "${NEBULA_GROUP}", by which hosts let each other in`
}

function holds(text: string, slice: Prefix4): boolean {
  const cidr = parseCidr4(text)
  return (
    cidr !== undefined &&
    cidr.prefixLen <= slice.prefixLen &&
    prefixBase(cidr.ip, cidr.prefixLen) === prefixBase(slice.base, cidr.prefixLen)
  )
}

/** When the first of those that are in use expires, ms since the epoch. */
export const expiryOf = ({ cas, host }: Pick<CertificateFacts, 'cas' | 'host'>): number =>
  Math.min(
    ...host.map(({ validTo }) => validTo),
    ...cas.flatMap(({ fingerprint, validTo }) => (host[0]?.issuer === fingerprint ? [validTo] : [])),
  )
