/** `flatnet tiers`: how each kind of way to other hosts fares, and which ones packets take. */
import type { TierInfo, TierName } from '../../core/api.ts'
import { command, jsonOption } from '../command.ts'
import { apiGet } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { type Column, printJson, printLine, table, widthOf } from '../ui/output.ts'

const WAYS: Readonly<Record<TierName, string>> = {
  ipv6: 'UDP to an IPv6 address',
  ipv4: 'UDP to an IPv4 address',
  ice: 'UDP that a hub helps to find',
  punch: 'UDP that members between help to find',
  nebula: 'Nebula, which people run by themselves',
  gateway: 'TLS to the gateway there',
  relay: 'TLS through a third gateway',
  gossip: 'messages that members keep and pass on',
}

export const tierColumns: readonly Column<TierInfo>[] = [
  { title: 'TIER', value: ({ name }) => name },
  // A gateway of an older version has no switches.
  { title: 'USED', value: ({ enabled = true }: Partial<TierInfo>) => (enabled ? 'yes' : 'off') },
  { title: 'HOSTS', value: ({ hosts }) => String(hosts) },
  { title: 'TRIES', value: ({ tries }) => String(tries) },
  { title: 'FOUND', value: ({ successes }) => String(successes) },
  { title: 'MEDIAN', value: ({ medianMs }) => (medianMs === undefined ? '-' : timeOf(medianMs)) },
  { title: 'WAY', value: ({ name }) => WAYS[name] },
]

const timeOf = (ms: number): string => (ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`)

export const tiersCommand = command({
  options: { ...placeOptions, ...jsonOption },
  examples: [
    ['', 'the kinds of way, best first: to how many hosts packets take it, and how soon it was found'],
    ['--json', 'the same for programs'],
  ],
  async run({ config, cniConfDir, json }, { io, host }) {
    const tiers = await apiGet<TierInfo[]>(findGateway(host, { config, cniConfDir }), '/v1/tiers')
    if (json) printJson(io, tiers)
    else printLine(io, table(tierColumns, tiers, widthOf(io)))
    return 0
  },
})
