/** Elements of the sets and maps of conf/flatnet.nft as nft reads them: a new table gets those of the old one. */

import { devgroupFrom, intervalsFrom, portFrom, split } from 'netlink-ts/netfilter/keys.ts'
import type { SetElement } from 'netlink-ts/netfilter/set.ts'
import { formatMac } from 'netlink-ts/route/mac.ts'
import { formatIpv4, ipv4FromBytes } from '../core/addr.ts'
import { FlatnetError } from '../core/errors.ts'

type Format = (bytes: Uint8Array) => string

const ip: Format = (bytes) => formatIpv4(ipv4FromBytes(bytes))
const service: Format = (bytes) => String(portFrom(bytes))
const ifname: Format = (bytes) => `"${printable(new TextDecoder().decode(bytes))}"`
const ip6: Format = (bytes) =>
  Array.from({ length: 8 }, (_, i) => portFrom(bytes.subarray(2 * i)).toString(16)).join(':')
const protocol: Format = ([number = 0]) => String(number)
const group: Format = (bytes) => String(devgroupFrom(bytes))

/** Each field with its length in bytes. */
const fields =
  (...parts: readonly (readonly [bytes: number, format: Format])[]): Format =>
  (key) =>
    split(key, ...parts.map(([bytes]) => bytes))
      .map((field, i) => parts[i]?.[1](field) ?? '')
      .join(' . ')

export const TABLE = 'flatnet'
const INTERVALS = ['supernets', 'masq']
/** By the name of the set; all that outlive a change of version are here or among the intervals. */
const KEYS: Readonly<Record<string, Format>> = {
  bridges: ifname,
  host_access: ifname,
  open_ports: service,
  name_servers: fields([16, ifname], [4, ip]),
  refused_ports: service,
  members: fields([4, ip], [2, service]),
  members6: fields([16, ip6], [2, service]),
  ports: fields([1, protocol], [4, ip], [2, service]),
  ports_any: fields([1, protocol], [2, service]),
  armed: group,
  sources: fields([4, group], [6, formatMac], [4, ip]),
}
const TARGET = fields([4, ip], [2, service])

/** nft has no escapes within quotes; our own comments and names need none. */
const printable = (text: string): string => text.replaceAll(/[^ !#-~]/g, '')

/** A kernel without nftables for bridges, as some of WSL2 are, refuses the table (EOPNOTSUPP, EAFNOSUPPORT). */
export const isUnsupported = (err: unknown): boolean =>
  err instanceof FlatnetError && /not supported/i.test(String(err.details))

/** A load for such a kernel: containers start, and nothing is judged at their ports. A set says so. */
export const withoutBridge = (text: string): string =>
  text
    .replaceAll(/^(?:delete table|create table|add element) bridge flatnet.*\n?/gm, '')
    .replace(
      /^table bridge flatnet \{\n.*?^\}/ms,
      'table inet flatnet {\n\tset without_bridge { type inet_service; }\n}',
    )

/**
 * @param table e.g. `inet flatnet`
 * @returns at most one line, e.g. `add element inet flatnet ports_any { 6 . 8080 comment "fn0123456789" : 10.100.1.10 .
 *   80 }`
 */
export function elementText(table: string, set: string, elements: readonly SetElement[]): string[] {
  if (elements.length === 0) return []
  const texts = INTERVALS.includes(set)
    ? intervalsFrom(elements).map(({ start, end }) => `${ip(start)}-${ip(end)}`)
    : elements.map((element) => single(formatOf(set), element))
  return [`add element ${table} ${set} { ${texts.join(', ')} }`]
}

function formatOf(set: string): Format {
  const format = KEYS[set]
  if (format === undefined) throw new RangeError(`elements of set ${set} have no text`)
  return format
}

function single(format: Format, { key, data, comment }: SetElement): string {
  const about = comment === undefined ? '' : ` comment "${printable(comment)}"`
  return `${format(key)}${about}${data === undefined ? '' : ` : ${TARGET(data)}`}`
}
