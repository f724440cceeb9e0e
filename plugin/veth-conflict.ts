/**
 * A link that came into being under our name between the look for it and the send that makes ours: what the rest of that
 * send, which goes by name, changed on it is taken back. A second send would cost every ADD, and let a kill between the two
 * leave a link that nobody knows.
 */

import type { NetlinkError } from 'netlink-ts/errors.ts'
import {
  bridgePortSetRequest,
  type Link,
  linkAltNameDelRequest,
  linkByName,
  linkSetRequest,
} from 'netlink-ts/route/link.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { formatIpv4 } from '../core/addr.ts'
import { ADDRESS_NAME, addressName, formatAlias, parseAlias } from '../core/attachment.ts'
import { FlatnetError } from '../core/errors.ts'
import type { Plan } from './plan.ts'

/** @param isNamed whether the send gave it our address as a name @returns what ADD says */
export function takenMeanwhile(
  host: NetlinkSocket,
  plan: Plan,
  isNamed: boolean,
  cause: NetlinkError,
): Error {
  const link = linkByName(host, plan.hostIfname)
  // It was the name in the container, or the link has gone since.
  if (link === undefined) return cause
  // One that had that name already is of an ADD of the same lease, and has the same alias.
  if (isNamed || !link.altNames.includes(nameOf(plan))) giveBack(host, plan, link, isNamed)
  return new FlatnetError(
    'ERR_FLATNET_KERNEL',
    `the host interface ${plan.hostIfname} was made meanwhile, by another ADD of the same container or by another program: try again`,
    { cause },
  )
}

const nameOf = (plan: Plan): string => addressName(formatIpv4(plan.ip))

/** Refusals say that the link has gone since. */
function giveBack(host: NetlinkSocket, plan: Plan, { index, altNames }: Link, isNamed: boolean): void {
  const attachment = parseAlias(plan.alias)?.attachment
  const other = altNames.find((name) => name.startsWith(ADDRESS_NAME) && name !== nameOf(plan))
  const isOurs = attachment !== undefined && other !== undefined
  const alias = isOurs ? formatAlias(attachment, `${other.slice(ADDRESS_NAME.length)}/${plan.prefixLen}`) : ''
  host.executeAll([
    ...(isNamed ? [linkAltNameDelRequest({ index, altName: nameOf(plan) })] : []),
    linkSetRequest({ index, alias }),
    // A link that is so young has what links begin with.
    ...(plan.hairpin && !isOurs ? [bridgePortSetRequest({ index, hairpin: false })] : []),
  ])
}
