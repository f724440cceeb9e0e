/** What a container is told when it gets no address: who has it, since when, and the way out. */

import { formatPrefix } from '../../core/addr.ts'
import { FlatnetError } from '../../core/errors.ts'
import type { Lease } from '../lease.ts'
import type { Counts, Holder } from './counts.ts'
import { formatRange, type Slice } from './slice.ts'

export function attachmentLive(lease: Lease): FlatnetError {
  return new FlatnetError(
    'ERR_FLATNET_ATTACHMENT_LIVE',
    `container ${lease.containerId} already has ${lease.ip} on ${lease.ifname} in ${lease.netns} ` +
      `since ${lease.createdAt}; a DEL has to come before another ADD`,
    { facts: { ip: lease.ip, netns: lease.netns, since: lease.createdAt } },
  )
}

export function addressHeld(holder: Lease): FlatnetError {
  const name = holder.name === undefined ? '' : ` (${holder.name})`
  return new FlatnetError(
    'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
    `requested address ${holder.ip} is held by container ${holder.containerId}${name} on ` +
      `${holder.ifname} in ${holder.netns || 'an unknown namespace'} since ${holder.createdAt}; ` +
      'remove that container or ask for another address',
    {
      facts: {
        ip: holder.ip,
        containerId: holder.containerId,
        ...(holder.name !== undefined && { name: holder.name }),
        ifname: holder.ifname,
        netns: holder.netns,
        since: holder.createdAt,
      },
    },
  )
}

/** @param reason e.g. `it is outside this host's slice 10.100.1.0/24` */
export function addressRefused(slice: Slice, ip: string, reason: string): FlatnetError {
  return new FlatnetError(
    'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
    `requested address ${ip} is not available: ${reason}; ask for another one of ${formatPrefix(slice.prefix)}`,
    { facts: { ip, slice: formatPrefix(slice.prefix), reason } },
  )
}

export function noAddress(slice: Slice, counts: Counts, holders: readonly Holder[]): FlatnetError {
  const { total, used, resting, stale } = counts
  const most = holders.map(({ holder, addresses }) => `${holder} ${addresses}`).join(', ')
  return new FlatnetError(
    'ERR_FLATNET_NO_ADDRESS',
    `no address left in ${formatRange(slice)}: ${used} of ${total} used, ${resting} resting, ` +
      `${stale} stale, ${counts.static} static; ` +
      "remove containers, run 'flatnet gc', or give hosts more addresses with a smaller ipam.hostPrefix",
    { details: `most are held by: ${most || 'no container'}`, facts: { ...counts, holders } },
  )
}
