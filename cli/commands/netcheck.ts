/** `flatnet netcheck`: whether UDP works here, how this host is seen from outside, and how far each member is. */
import { networkInterfaces } from 'node:os'
import type { PathInfo } from '../../core/api.ts'
import type { HostView } from '../../gateway/api/host-view.ts'
import { type Netcheck, type NetcheckMember, netcheck } from '../../gateway/dataplane/nat/netcheck.ts'
import { StunSocket } from '../../gateway/dataplane/nat/stun-socket.ts'
import { command, jsonOption } from '../command.ts'
import { apiGet } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { type Column, type Io, printJson, printLine, table, UsageError, widthOf, wrap } from '../ui/output.ts'

const SERVER_FORM = /^(?:\[[0-9a-f:.]+\]|[a-z0-9.-]+):[1-9]\d{0,4}$/i

/** By the address at which UDP is proven, and by those it announces for TCP: both use one port number by default. */
function membersOf(hosts: readonly HostView[]): NetcheckMember[] {
  return hosts.flatMap(({ hostId, member, path }) => {
    if (member === null || member.state !== 'active' || path?.state === 'LOCAL') return []
    const servers = [provenAt(path), ...member.endpoints].filter((e) => e !== undefined)
    return [{ hostId, name: member.name, servers: [...new Set(servers)] }]
  })
}

const provenAt = (path: PathInfo | null): string | undefined => path?.p2p?.address

type Row = Netcheck['members'][number]
const COLUMNS: readonly Column<Row>[] = [
  { title: 'HOST', value: ({ hostId }) => String(hostId) },
  { title: 'NAME', value: ({ name }) => name, min: 8 },
  { title: 'RTT', value: ({ rttMs }) => (rttMs === undefined ? 'no answer' : `${rttMs.toFixed(1)} ms`) },
  { title: 'ASKED AT', value: ({ server }) => server ?? '' },
  { title: 'SEES THIS HOST AS', value: ({ mapped }) => mapped ?? '' },
]

const MAPPING = {
  'endpoint-independent': 'one mapping for all destinations: direct paths can be made',
  'address-dependent':
    'another mapping for each address (symmetric): direct paths only to peers behind laxer NATs',
  'address-and-port-dependent':
    'another mapping for each destination (symmetric): direct paths only to peers behind laxer NATs',
  dependent: 'another mapping for each destination (symmetric): direct paths only to peers behind laxer NATs',
  unknown: 'unknown: it takes two members that answer at different addresses, or --server',
} as const
const FILTERING = {
  'endpoint-independent': 'anyone may send to it (cone)',
  'address-dependent': 'only addresses that it sent to (address-restricted)',
  'address-and-port-dependent': 'only addresses and ports that it sent to (port-restricted)',
  unknown: 'unknown: --server names a STUN server with two addresses (RFC 5780)',
} as const

function print(io: Io, found: Netcheck): void {
  const { udp, ipv4, ipv6, behindNat, mapping = 'unknown', filtering = 'unknown', hairpin, members } = found
  const say = (key: string, text: string): void =>
    printLine(io, wrap(`${key.padEnd(10)} ${text}`, ' '.repeat(11), widthOf(io)))
  const nothing =
    members.length === 0 ? 'there is no other member, so --server has to name a server' : 'no answer'
  say('udp', udp ? 'works' : `${nothing}: a firewall drops it, or no flatnet p2p runs there`)
  say('ipv4', ipv4.length > 0 ? ipv4.join(', ') : 'not seen')
  say('ipv6', ipv6.length > 0 ? ipv6.join(', ') : 'not seen')
  if (behindNat === true) {
    say('nat', 'yes')
    say('mapping', MAPPING[mapping])
    say('filtering', FILTERING[filtering])
    if (hairpin !== undefined) say('hairpin', hairpin ? 'works' : 'does not work')
  } else if (behindNat === false) say('nat', 'none: others see an address of this host')
  if (members.length > 0) printLine(io, `\n${table(COLUMNS, members, widthOf(io))}`)
}

const opened = async (family: 'udp4' | 'udp6'): Promise<StunSocket | undefined> => {
  try {
    return await StunSocket.open(family)
  } catch {
    // A host without this family: what is asked by it gets no answer.
    return undefined
  }
}

export const netcheckCommand = command({
  options: {
    ...placeOptions,
    ...jsonOption,
    server: {
      type: 'string',
      describe: 'A STUN server with two addresses (RFC 5780), e.g. stun.example:3478',
    },
  },
  examples: [
    ['', 'what the members see'],
    ['--server 192.0.2.1:3478', 'also what the NAT lets in, by that server'],
  ],
  async run({ config, cniConfDir, json, server }, { io, host }) {
    if (server !== undefined && !SERVER_FORM.test(server))
      throw new UsageError(`--server ${server}: not an address and a port`, 'write it as 192.0.2.1:3478')
    const places = findGateway(host, { config, cniConfDir })
    const members = membersOf(await apiGet<HostView[]>(places, '/v1/hosts'))
    const sockets = await Promise.all([opened('udp4'), opened('udp6'), opened('udp4')])
    const [ipv4, ipv6, fresh] = sockets
    try {
      const ownAddresses = Object.values(networkInterfaces()).flatMap((all) =>
        (all ?? []).map((a) => a.address),
      )
      const found = await netcheck({ askers: { ipv4, ipv6 }, fresh, members, server, ownAddresses })
      if (json) printJson(io, found)
      else print(io, found)
      return found.udp ? 0 : 1
    } finally {
      for (const socket of sockets) socket?.[Symbol.dispose]()
    }
  },
})
