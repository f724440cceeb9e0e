/** IPv6 addresses in texts: Flatnet gives out none, but must tell one from a text that only has colons. */

import { type Ipv4, parseIpv4 } from './addr.ts'

const GROUPS = 8

/**
 * The eight groups of an address without a zone; undefined when it is none.
 *
 * Not node:net's isIPv6: the plugin loads that module only to talk to the gateway (1.6 ms).
 * @see RFC 4291 2.2
 */
export function parseIpv6(text: string): readonly number[] | undefined {
  const [before = '', after, ...more] = text.split('::')
  if (more.length > 0) return undefined
  const head = groupsOf(before, after === undefined)
  if (after === undefined) return head?.length === GROUPS ? head : undefined
  const tail = groupsOf(after, true)
  if (head === undefined || tail === undefined) return undefined
  const zeros = GROUPS - head.length - tail.length
  return zeros < 1 ? undefined : [...head, ...new Array<number>(zeros).fill(0), ...tail]
}

/** @param isLast whether the text ends the address: only there may the last two groups be dotted */
function groupsOf(text: string, isLast: boolean): number[] | undefined {
  const groups: number[] = []
  if (text === '') return groups
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    const ip = isLast && i === parts.length - 1 ? parseIpv4(part) : undefined
    if (ip !== undefined) groups.push(ip >>> 16, ip & 0xffff)
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16))
    else return undefined
  }
  return groups
}

/** The IPv4 address of `::ffff:10.1.2.3`, which Go's net.ParseIP takes for `10.1.2.3`; undefined for others. */
export function mappedIpv4(groups: readonly number[]): Ipv4 | undefined {
  for (let i = 0; i < 5; i++) if (groups[i] !== 0) return undefined
  return groups[5] === 0xffff ? (groups[6] ?? 0) * 0x10000 + (groups[7] ?? 0) : undefined
}
