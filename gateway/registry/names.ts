/** Which container a name means: the rules, for ingress and for DNS. Pure but for the given look-up. */

import { ipOfCidr, parseIpv4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'

export interface NameLookup {
  /** Of a registered address; undefined for every other. */
  byIp(ip: string): Assignment | undefined
  /** Holders of a name, in any case; the first is used. */
  byName(name: string): readonly Assignment[]
}

export interface NamedContainer {
  readonly assignment: Assignment
  /** The address that was named, else its first. */
  readonly ip: string
  /** The port that was named, else where it serves HTTP. */
  readonly port: number
}

/** No container has a name with more labels; it bounds the look-ups that a stranger's host name can cause. */
const MAX_LABELS = 8

/**
 * A host name: a container's name with any domain behind it. Names may have dots themselves, so
 * `my.app.flatnet` is container `my.app` before it is container `my`.
 */
export function resolveHost(host: string, lookup: NameLookup): NamedContainer | undefined {
  if (labelsIn(host) > MAX_LABELS) return undefined
  for (let end = host.length; end > 0; end = host.lastIndexOf('.', end - 1)) {
    const found = resolveName(host.slice(0, end), lookup)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * `web`, `web-8080`, `10-100-1-10`, `10-100-1-10-8080`. A registered address comes first, so that no container
 * takes the address of another one by its name; then the exact name, as names end in `-<digits>` too; then
 * name and port.
 */
export function resolveName(name: string, lookup: NameLookup): NamedContainer | undefined {
  const address = byAddress(name, lookup)
  if (address !== undefined) return address
  const [exact] = lookup.byName(name)
  if (exact !== undefined) return named(exact)
  if (!isDigit(name.charCodeAt(name.length - 1))) return undefined
  const [, base, digits] = /^(.+)-(\d{1,5})$/.exec(name) ?? []
  const port = portOf(digits)
  const [assignment] = base === undefined ? [] : lookup.byName(base)
  if (assignment === undefined || port === undefined) return undefined
  return { assignment, ip: firstIp(assignment), port }
}

const DASHED_RE = /^\d{1,3}(?:-\d{1,3}){3}$/

/**
 * Without the forms that name a port: for DNS, `web-2` is another container than `web`, also while it is stopped.
 * @returns the container, and its addresses: the one that was named, else all
 */
export function exactName(
  name: string,
  lookup: NameLookup,
): { readonly assignment: Assignment; readonly ips: readonly string[] } | undefined {
  const address = DASHED_RE.test(name) ? byAddress(name, lookup) : undefined
  if (address !== undefined) return { assignment: address.assignment, ips: [address.ip] }
  const [assignment] = lookup.byName(name)
  return assignment === undefined ? undefined : { assignment, ips: assignment.ips.map(ipOfCidr) }
}

const named = (assignment: Assignment): NamedContainer => ({
  assignment,
  ip: firstIp(assignment),
  port: assignment.httpPort,
})

function byAddress(name: string, lookup: NameLookup): NamedContainer | undefined {
  if (!isDigit(name.charCodeAt(0))) return undefined
  const [, dashed, digits] = /^(\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3})(?:-(\d{1,5}))?$/.exec(name) ?? []
  const ip = dashed?.replaceAll('-', '.')
  if (ip === undefined || parseIpv4(ip) === undefined) return undefined
  const assignment = lookup.byIp(ip)
  const port = digits === undefined ? assignment?.httpPort : portOf(digits)
  return assignment === undefined || port === undefined ? undefined : { assignment, ip, port }
}

function labelsIn(host: string): number {
  let labels = 1
  for (let at = host.indexOf('.'); at >= 0; at = host.indexOf('.', at + 1)) labels++
  return labels
}

/** Without `split`, which `ipOfCidr` has: this runs for each request. */
function firstIp({ ips: [cidr = ''] }: Assignment): string {
  const slash = cidr.indexOf('/')
  return slash < 0 ? cidr : cidr.slice(0, slash)
}

function portOf(digits: string | undefined): number | undefined {
  const port = Number(digits ?? 0)
  return port >= 1 && port <= 65_535 ? port : undefined
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39
