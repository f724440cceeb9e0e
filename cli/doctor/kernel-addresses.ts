/** Doctor, addresses in the kernel: two links with one address, live containers without a lease. */

import { ipOfCidr } from '../../core/addr.ts'
import { parseAlias } from '../../core/attachment.ts'
import { type Host, runJson } from '../host/host.ts'
import { readLeases } from '../host/leases.ts'
import type { Places } from '../host/places.ts'
import { howToStart } from '../host/service.ts'
import { type Finding, fail, hostCheck, warn } from './check.ts'

export interface KernelAddress {
  readonly network: string
  readonly containerId: string
  /** Host end. */
  readonly ifname: string
  readonly ip: string
  readonly hasLease: boolean
}

async function gatherKernelAddresses(host: Host, places: Places): Promise<KernelAddress[]> {
  const links = runJson<{ ifname: string; ifalias?: string }[]>(
    host,
    'ip',
    '-j',
    'link',
    'show',
    'type',
    'veth',
  )
  const { live, pending, stale } = await readLeases(places.dataDirs)
  const leased = new Set([...live, ...pending, ...stale].map((l) => `${l.network} ${l.containerId} ${l.ip}`))
  return (links ?? []).flatMap(({ ifname, ifalias = '' }) => {
    const parsed = parseAlias(ifalias)
    if (parsed === undefined) return []
    const { network, containerId } = parsed.attachment
    const ip = ipOfCidr(parsed.cidr)
    return [{ network, containerId, ifname, ip, hasLease: leased.has(`${network} ${containerId} ${ip}`) }]
  })
}

const named = ({ containerId, ifname }: KernelAddress): string => `${containerId.slice(0, 12)} (${ifname})`

function judgeKernelAddresses(addresses: readonly KernelAddress[]): Finding[] {
  const byIp = [...Map.groupBy(addresses, ({ ip }) => ip)]
  const doubled = byIp.flatMap(([ip, all]) => {
    // The container without a lease moves, else the one that came last.
    const [, mover] = [...all].sort((a, b) => Number(b.hasLease) - Number(a.hasLease))
    if (mover === undefined) return []
    return fail(
      'address-twice',
      `${ip} is the address of ${all.map(named).join(' and of ')}`,
      'packets for one reach the other; an old copy of the leases was put back on a kernel without ' +
        'alternative names (before Linux 5.5), or such a name was removed by hand',
      `podman restart ${mover.containerId.slice(0, 12)}`,
    )
  })
  const alone = addresses.filter(
    ({ ip, hasLease }) => !hasLease && !doubled.some((c) => c.what.startsWith(`${ip} `)),
  )
  const [first] = alone
  if (first === undefined) return doubled
  return [
    ...doubled,
    warn(
      'lease-missing',
      `${first.network}: no lease names ${alone.slice(0, 3).map(named).join(', ')}` +
        (alone.length > 3 ? ` and ${alone.length - 3} more` : ''),
      'the leases are older than the containers: a backup was put back, or dataDir is another one; ' +
        'their addresses are still not given to other containers',
      `the gateway gives them their leases back within 30 s: ${howToStart()}`,
    ),
  ]
}

export const check = hostCheck({
  name: 'kernel-addresses',
  // The check of the leases reports it.
  needsRoot: [],
  gather: ({ host, places }) => gatherKernelAddresses(host, places),
  judge: judgeKernelAddresses,
})
