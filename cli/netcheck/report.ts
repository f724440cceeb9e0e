/** Words for what `flatnet netcheck` finds: a line for each question, a table of who answered, and what it comes to. */

import type { Dependence } from '../../gateway/dataplane/nat/behaviour.ts'
import type { Netcheck } from '../../gateway/dataplane/nat/netcheck.ts'
import type { PortMappingStatus } from '../../gateway/dataplane/nat/port-mapping/port-mapping.ts'
import { PROTOCOL_NAMES } from '../../gateway/dataplane/nat/port-mapping/router.ts'
import { type Column, counted, type Io, printLine, table, widthOf, wrap } from '../ui/output.ts'

export interface Found extends Netcheck {
  /** Of the gateway; null: in no cluster. */
  readonly portMapping: PortMappingStatus | null
  /** To how many hosts UDP carries packets. */
  readonly direct: number
}

interface Row {
  readonly host: string
  readonly name: string
  readonly rttMs?: number | undefined
  readonly server?: string | undefined
  readonly mapped?: string | undefined
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'HOST', value: ({ host }) => host },
  { title: 'NAME', value: ({ name }) => name, min: 8 },
  { title: 'RTT', value: ({ rttMs }) => (rttMs === undefined ? 'no answer' : `${rttMs.toFixed(1)} ms`) },
  { title: 'ASKED AT', value: ({ server }) => server ?? '' },
  { title: 'SEES THIS HOST AS', value: ({ mapped }) => mapped ?? '' },
]

/** Of the answers to the questions. */
const INDENT = ' '.repeat(14)
const SYMMETRIC = 'another mapping for each destination (symmetric)'
const MAPPING = {
  'endpoint-independent': 'one mapping for all destinations',
  'address-dependent': 'another mapping for each address (symmetric)',
  'address-and-port-dependent': SYMMETRIC,
  dependent: SYMMETRIC,
  unknown: 'unknown: needs two members or paths.stun servers at different addresses, or --server',
} as const
const FILTERING: Readonly<Record<Dependence | 'unknown', string>> = {
  'endpoint-independent': 'any host may send to it (cone)',
  'address-dependent': 'only addresses that it sent to (address-restricted)',
  'address-and-port-dependent': 'only addresses and ports that it sent to (port-restricted)',
  unknown: 'unknown: needs a STUN server with two addresses (RFC 5780), in paths.stun or by --server',
}

export function mappingText(mapping: PortMappingStatus | null, now: number): string {
  if (mapping === null) return 'none: this host is in no cluster'
  const { external, protocol, reason = '', router, until } = mapping
  if (external === undefined || protocol === undefined || until === undefined)
    return `none: ${router === undefined ? '' : `router ${router}, `}${reason}`
  const minutes = Math.max(0, Math.round((Date.parse(until) - now) / 60_000))
  const renewal = reason === '' ? '' : `, not renewed: ${reason}`
  return `${external} by ${PROTOCOL_NAMES[protocol]} at router ${router}, for ${minutes} min, renewed before that${renewal}`
}

/** What this host becomes direct with; the table of kinds is in docs/architecture/nat.md. */
export function outlook({ udp, behindNat, mapping, filtering, portMapping, direct }: Found): string {
  if (!udp && direct > 0)
    return (
      'UDP carries packets from here, so it works. No member told how this host is seen: a member behind a NAT answers ' +
      'only hosts that it has sent to itself. A server in paths.stun would tell.'
    )
  if (!udp)
    return (
      "Without UDP this host is reached by the gateways' connection or a relay, whatever the other host has. " +
      'Allow UDP out of this network, and answers in.'
    )
  if (portMapping?.external !== undefined)
    return 'Hosts with a port mapping become direct with every host whose UDP is not blocked.'
  if (behindNat === false)
    return 'Hosts without a NAT become direct with every host whose UDP is not blocked.'
  const isLax = filtering === 'endpoint-independent' || filtering === 'address-dependent'
  if (mapping === 'endpoint-independent')
    return isLax
      ? 'Hosts behind such NATs become direct with every host whose UDP is not blocked.'
      : 'Hosts behind such NATs become direct with all but those behind symmetric NATs' +
          `${filtering === undefined ? ', and with these too if it filters by address alone' : ''}; those go through a hub.`
  if (mapping === undefined)
    return 'Hosts behind NATs become direct with each other unless one of the NATs is symmetric.'
  return (
    'Hosts behind such NATs become direct with hosts in public, with a port mapping, or behind NATs that filter by ' +
    'address at most (cone, address-restricted); others go through a hub. A port mapping at the router of either host ' +
    'solves this: allow PCP, NAT-PMP or UPnP there, or forward UDP 7443.'
  )
}

function udpText({ udp, members, servers, best, direct }: Found): string {
  if (udp)
    return best === undefined
      ? 'works'
      : `works; ${best.name} answers soonest, in ${best.rttMs.toFixed(1)} ms`
  if (direct > 0) return `works: it carries packets to ${counted(direct, 'host')}, none of which answers STUN`
  if (members.length + servers.length === 0)
    return 'unknown: there is no other member, so paths.stun or --server has to name a server'
  return 'no answer: a firewall drops UDP, or no other host runs flatnet p2p'
}

export function printFound(io: Io, found: Found): void {
  const { ipv4, ipv6, behindNat, mapping = 'unknown', filtering = 'unknown', hairpin } = found
  const say = (key: string, text: string): void =>
    printLine(io, wrap(text, INDENT, widthOf(io)).replace(INDENT, key.padEnd(INDENT.length)))
  say('udp', udpText(found))
  say('ipv4', ipv4.length > 0 ? ipv4.join(', ') : 'not seen')
  say('ipv6', ipv6.length > 0 ? ipv6.join(', ') : 'not seen')
  if (behindNat === true) {
    say('nat', 'yes')
    say('mapping', MAPPING[mapping])
    say('filtering', FILTERING[filtering])
    if (hairpin !== undefined) say('hairpin', hairpin ? 'works' : 'does not work')
  } else if (behindNat === false) say('nat', 'none: others see an address of this host')
  say('port mapping', mappingText(found.portMapping, Date.now()))
  const rows = [
    ...found.members.map(({ hostId, ...answer }) => ({ host: String(hostId), ...answer })),
    ...found.servers.map((answer) => ({ host: '', ...answer })),
  ]
  if (rows.length > 0) printLine(io, `\n${table(COLUMNS, rows, widthOf(io))}`)
  if (found.udp || rows.length > 0) printLine(io, `\n${wrap(outlook(found), '', widthOf(io))}`)
}
