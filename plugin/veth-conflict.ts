/**
 * Undoes what ADD changed on a foreign link that took our name just before ADD created its own.
 *
 * The messages behind the creation go by name in the same send, so they reach the foreign link. A second send would
 * cost every ADD time, and a kill between the two would leave a link without its alias.
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

/** @param isNamed whether the send gave the foreign link our address as a name @returns the error of ADD */
export function takenMeanwhile(
  host: NetlinkSocket,
  plan: Plan,
  isNamed: boolean,
  cause: NetlinkError,
): Error {
  const link = linkByName(host, plan.hostIfname)
  // The name in the container was taken, or the foreign link is gone again.
  if (link === undefined) return cause
  // A link that had the name before belongs to an ADD of the same lease, with the same alias.
  if (isNamed || !link.altNames.includes(nameOf(plan))) giveBack(host, plan, link, isNamed)
  return new FlatnetError(
    'ERR_FLATNET_KERNEL',
    `the host interface ${plan.hostIfname} was made meanwhile, ` +
      'by another ADD of the same container or by another program: try again',
    { cause },
  )
}

const nameOf = (plan: Plan): string => addressName(formatIpv4(plan.ip))

/** Refusals are ignored: the link is gone again. */
function giveBack(host: NetlinkSocket, plan: Plan, { index, altNames }: Link, isNamed: boolean): void {
  const attachment = parseAlias(plan.alias)?.attachment
  const other = altNames.find((name) => name.startsWith(ADDRESS_NAME) && name !== nameOf(plan))
  const isOurs = attachment !== undefined && other !== undefined
  const alias = isOurs ? formatAlias(attachment, `${other.slice(ADDRESS_NAME.length)}/${plan.prefixLen}`) : ''
  host.executeAll([
    ...(isNamed ? [linkAltNameDelRequest({ index, altName: nameOf(plan) })] : []),
    linkSetRequest({ index, alias }),
    // So young a link still has the default.
    ...(plan.hairpin && !isOurs ? [bridgePortSetRequest({ index, hairpin: false })] : []),
  ])
}
