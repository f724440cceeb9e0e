/** `flatnet hosts` lists the members of the cluster, `flatnet revoke` takes one out. */
import type { MemberRecord } from '../../gateway/cluster/document.ts'
import type { HostView } from '../../gateway/cluster/view.ts'
import { apiGet, apiPost } from './client.ts'
import { command, jsonOption } from './command.ts'
import { type Column, printJson, printLine, table } from './output.ts'
import { findGateway, placeOptions } from './places.ts'

/** Of an active member how it is reached, of another one what became of it. */
function stateOf({ member, link }: HostView): string {
  if (member !== null && member.state !== 'active') return member.state
  return link === null ? 'this host' : link.state
}

const COLUMNS: readonly Column<HostView>[] = [
  { title: 'HOST', value: (h) => String(h.hostId) },
  { title: 'NAME', value: (h) => h.member?.name ?? '', min: 8 },
  { title: 'SLICE', value: (h) => h.member?.slice ?? '' },
  { title: 'STATE', value: stateOf },
  { title: 'ENDPOINT', value: (h) => h.member?.endpoints[0] ?? '', min: 12 },
  { title: 'KEY', value: (h) => h.member?.keyId.slice(0, 12) ?? '' },
  { title: 'ADMITS', value: (h) => (h.member?.admits === true ? 'yes' : '') },
  { title: 'SINCE', value: (h) => h.member?.changedAt.slice(0, 16).replace('T', ' ') ?? '' },
]

export const hostsCommand = command({
  options: { ...placeOptions, ...jsonOption },
  async run({ config, cniConfDir, json }, { io, host }) {
    const { socket } = findGateway(host, { config, cniConfDir })
    const hosts = await apiGet<HostView[]>(socket, '/v1/hosts')
    if (json) printJson(io, hosts)
    else if (hosts.every((h) => h.member === null))
      printLine(io, 'This host is in no cluster: flatnet init, or flatnet join')
    else {
      printLine(io, table(COLUMNS, hosts))
      for (const { hostId, link } of hosts) {
        if (link !== null && link.state !== 'up') printLine(io, `host ${hostId}: ${link.reason}`)
      }
    }
    return 0
  },
})

export const revokeCommand = command({
  options: placeOptions,
  positionals: { host: { type: 'number', demandOption: true, describe: 'Its number' } },
  async run({ config, cniConfDir, host: hostId }, { io, host }) {
    const { socket } = findGateway(host, { config, cniConfDir })
    const member = await apiPost<MemberRecord>(socket, '/v1/cluster/revoke', { hostId })
    printLine(
      io,
      `host ${hostId} (${member.name}) is ${member.state}; every host that is up refuses it by now.`,
    )
    printLine(io, `A new machine in its place: flatnet token --replace ${hostId}`)
    return 0
  },
})
