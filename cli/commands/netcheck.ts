/** `flatnet netcheck`: whether UDP works here, how this host is seen from outside, and how far each member is. */
import { networkInterfaces } from 'node:os'
import type { PathInfo } from '../../core/api.ts'
import type { HostView } from '../../gateway/api/host-view.ts'
import type { Status } from '../../gateway/api/status.ts'
import { type NetcheckMember, type NetcheckServer, netcheck } from '../../gateway/dataplane/nat/netcheck.ts'
import { StunSocket } from '../../gateway/dataplane/nat/stun-socket.ts'
import { lookUp } from '../../gateway/dataplane/p2p/stun-servers.ts'
import { command, jsonOption } from '../command.ts'
import { apiGet } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { printFound } from '../netcheck/report.ts'
import { printTurn, tryTurn } from '../netcheck/turn.ts'
import { printJson, UsageError } from '../ui/output.ts'

const SERVER_FORM = /^(?:\[[0-9a-f:.]+\]|[a-z0-9.-]+):[1-9]\d{0,4}$/i

/** By the address at which UDP is proven, and by those it announces for TCP: both use one port number by default. */
function membersOf(hosts: readonly HostView[]): NetcheckMember[] {
  return hosts.flatMap(({ hostId, member, path }) => {
    if (member === null || member.state !== 'active' || path?.state === 'LOCAL') return []
    const servers = [provenAt(path), ...member.endpoints].filter((e) => e !== undefined)
    return [{ hostId, name: member.name, servers: [...new Set(servers)] }]
  })
}

/** A TURN server in between answers no STUN for the member. */
const provenAt = (path: PathInfo | null): string | undefined =>
  path?.p2p?.turn === undefined ? path?.p2p?.address : undefined

/** A name that leads nowhere is a server that does not answer. */
async function found(server: string): Promise<NetcheckServer> {
  const servers = await lookUp(server).catch(() => [])
  return { name: server, servers }
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
    ['', 'what the members see, and the servers of paths.stun'],
    ['--server 192.0.2.1:3478', 'also what the NAT lets in, by that server'],
  ],
  async run({ config, cniConfDir, json, server }, { io, host }) {
    if (server !== undefined && !SERVER_FORM.test(server))
      throw new UsageError(`--server ${server}: not an address and a port`, 'write it as 192.0.2.1:3478')
    const places = findGateway(host, { config, cniConfDir })
    const hosts = await apiGet<HostView[]>(places, '/v1/hosts')
    const members = membersOf(hosts)
    const direct = hosts.filter(({ path }) => path?.state === 'P2P_ACTIVE' && path.via === 'p2p').length
    const { portMapping } = await apiGet<Status>(places, '/v1/status')
    const named = server === undefined ? undefined : await found(server)
    const servers = await Promise.all((places.conf?.paths.stun ?? []).map(found))
    const sockets = await Promise.all([opened('udp4'), opened('udp6'), opened('udp4')])
    const [ipv4, ipv6, fresh] = sockets
    try {
      const ownAddresses = Object.values(networkInterfaces()).flatMap((all) =>
        (all ?? []).map((a) => a.address),
      )
      const sockets = { ipv4, ipv6 }
      const at = named?.servers.find((endpoint) => !endpoint.startsWith('[')) ?? server
      const [seen, turn] = await Promise.all([
        netcheck({ sockets, fresh, members, servers, server: at, ownAddresses }),
        tryTurn(places.conf),
      ])
      const all = { ...seen, portMapping, turn, direct }
      if (json) printJson(io, all)
      else {
        printFound(io, all)
        printTurn(io, turn)
      }
      return all.udp || direct > 0 ? 0 : 1
    } finally {
      for (const socket of sockets) socket?.[Symbol.dispose]()
    }
  },
})
