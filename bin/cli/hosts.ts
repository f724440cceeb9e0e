/** `flatnet hosts` lists the members of the cluster, `flatnet hosts release` lets one in again, `flatnet revoke` takes one out. */
import type { MemberRecord } from '../../gateway/cluster/document.ts'
import type { HostView } from '../../gateway/cluster/view.ts'
import { apiGet, apiPost } from './client.ts'
import { command, jsonOption } from './command.ts'
import { type Column, type Io, printJson, printLine, table, UsageError, wrap } from './output.ts'
import { findGateway, placeOptions } from './places.ts'

/** Of an active member how it is reached, of another one what became of it. */
function stateOf({ member, link, path, quarantine }: HostView): string {
  if (member !== null && member.state !== 'active') return member.state
  if (quarantine !== null) return 'QUARANTINED'
  if (path?.state === 'LOCAL') return 'this host'
  // A host that is out of its cluster has links to nobody.
  return link?.state ?? 'no link'
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

/** What is not well with a host, one thing a line. */
function printTroubles(io: Io, { hostId, link, quarantine, alarms, path }: HostView): void {
  if (quarantine !== null) printLine(io, wrap(`host ${hostId}: ${path?.reason ?? quarantine}`))
  else if (link !== null && link.state !== 'up') printLine(io, wrap(`host ${hostId}: ${link.reason}`))
  for (const { reason, next } of alarms) printLine(io, wrap(`host ${hostId}: ${reason}; next: ${next}`))
}

/** On this gateway alone: each finds out for itself, and is told by a person that it is over. */
async function release(io: Io, socket: string, hostId: number, isJson: boolean): Promise<number> {
  const answer = await apiPost<{ released: boolean }>(socket, `/v1/hosts/${hostId}/release`, {})
  if (isJson) {
    printJson(io, answer)
    return 0
  }
  const hosts = await apiGet<HostView[]>(socket, '/v1/hosts')
  if (answer.released) {
    printLine(io, `host ${hostId} is let in again by this gateway.`)
    printLine(io, `Each other host that shows it QUARANTINED needs the same: flatnet hosts release ${hostId}`)
  } else if (hosts.find((h) => h.hostId === hostId)?.link === null) {
    printLine(io, `host ${hostId} is not kept out here; run this where flatnet hosts shows it QUARANTINED.`)
  } else {
    const others = hosts.filter((h) => h.quarantine !== null).map((h) => h.hostId)
    const which = others.length === 0 ? 'no host is' : `host ${others.join(', ')} is`
    printLine(io, `host ${hostId} is not kept out by this gateway; ${which}.`)
  }
  return 0
}

export const hostsCommand = command({
  options: { ...placeOptions, ...jsonOption },
  positionals: {
    action: { choices: ['release'], describe: 'End the quarantine of a host on this gateway' },
    host: { type: 'number', describe: 'Its number' },
  },
  async run({ config, cniConfDir, json, action, host: hostId }, { io, host }) {
    const { socket } = findGateway(host, { config, cniConfDir })
    if (action !== undefined) {
      if (hostId === undefined || !(Number.isInteger(hostId) && hostId >= 1 && hostId <= 65_534)) {
        throw new UsageError(
          'release needs the number of a host, from 1 to 65534',
          'flatnet hosts release N, as flatnet hosts shows it',
        )
      }
      return release(io, socket, hostId, json)
    }
    const hosts = await apiGet<HostView[]>(socket, '/v1/hosts')
    if (json) printJson(io, hosts)
    else if (hosts.every((h) => h.member === null))
      printLine(io, 'This host is in no cluster: flatnet init, or flatnet join')
    else {
      printLine(io, table(COLUMNS, hosts))
      for (const view of hosts) printTroubles(io, view)
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
