/** `flatnet tiers`: each kind of path to other hosts, how often it was found, and how many hosts it serves now. */
import type { TierInfo, TierName } from '../../core/api.ts'
import { command, jsonOption } from '../command.ts'
import { apiGet } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { type Column, printJson, printLine, table, widthOf } from '../ui/output.ts'

const KINDS: Readonly<Record<TierName, string>> = {
  ipv6: 'UDP to an IPv6 address',
  ipv4: 'UDP to an IPv4 address',
  ice: 'UDP, found with the help of a hub',
  punch: 'UDP, found with the help of members in between',
  nebula: 'Nebula, where paths.nebula is set up',
  gateway: 'TLS to the gateway there',
  relay: 'TLS through a third gateway',
  gossip: 'messages that members store and pass on',
}

export const tierColumns: readonly Column<TierInfo>[] = [
  { title: 'TIER', value: ({ name }) => name },
  // A gateway of an older version has no switches.
  { title: 'USED', value: ({ enabled = true }: Partial<TierInfo>) => (enabled ? 'yes' : 'off') },
  { title: 'HOSTS', value: ({ hosts }) => String(hosts) },
  { title: 'TRIES', value: ({ tries }) => String(tries) },
  { title: 'FOUND', value: ({ successes }) => String(successes) },
  { title: 'MEDIAN', value: ({ medianMs }) => (medianMs === undefined ? '-' : timeOf(medianMs)) },
  { title: 'KIND OF PATH', value: ({ name }) => KINDS[name] },
]

const timeOf = (ms: number): string => (ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`)

export const tiersCommand = command({
  options: { ...placeOptions, ...jsonOption },
  examples: [
    ['', 'the kinds of path, best first: how many hosts each serves, and how soon it was found'],
    ['--json', 'the same for scripts'],
  ],
  async run({ config, cniConfDir, json }, { io, host }) {
    const tiers = await apiGet<TierInfo[]>(findGateway(host, { config, cniConfDir }), '/v1/tiers')
    if (json) printJson(io, tiers)
    else printLine(io, table(tierColumns, tiers, widthOf(io)))
    return 0
  },
})
