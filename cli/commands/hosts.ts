/** `flatnet hosts` lists the members of the cluster; `flatnet hosts release` ends a quarantine. */

import type { HostView } from '../../gateway/api/host-view.ts'
import { command, jsonOption } from '../command.ts'
import { type ApiPlace, apiGet, apiPost } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { hostNumber } from '../ui/host-number.ts'
import { COME_BACK } from '../ui/next-steps.ts'
import { type Column, type Io, printJson, printLine, table, widthOf, wrap } from '../ui/output.ts'

/** How an active member is reached; why another one is not a member. */
function stateOf({ member, link, path, quarantine }: HostView): string {
  if (member !== null && member.state !== 'active') return member.state
  if (quarantine !== null) return 'QUARANTINED'
  if (path?.state === 'LOCAL') return 'this host'
  // A host that is out of its cluster has no links.
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
  { title: 'SINCE', value: (h) => h.member?.changedAt.slice(0, 16).replace('T', ' ') ?? '', isSpare: true },
]

/** The problems of a host, one a line. */
function printTroubles(io: Io, { hostId, member, link, quarantine, alarms, path }: HostView): void {
  const say = (text: string): void => printLine(io, wrap(`host ${hostId}: ${text}`, '', widthOf(io)))
  if (quarantine !== null) say(path?.reason ?? quarantine)
  else if (link !== null && link.state !== 'up') say(link.reason)
  if (path?.state === 'LOCAL' && member !== null && member.state !== 'active')
    say(`this one is out (${member.state}); ${COME_BACK}`)
  for (const { reason, next } of alarms) say(`${reason}; next: ${next}`)
}

/** On this gateway alone: each gateway detects a duplicate itself, and an operator ends its quarantine there. */
async function release(io: Io, api: ApiPlace, hostId: number, isJson: boolean): Promise<number> {
  const answer = await apiPost<{ released: boolean }>(api, `/v1/hosts/${hostId}/release`, {})
  if (isJson) {
    printJson(io, answer)
    return 0
  }
  const hosts = await apiGet<HostView[]>(api, '/v1/hosts')
  if (answer.released) {
    printLine(io, `host ${hostId} is admitted again by this gateway.`)
    printLine(io, `Each other host that shows it QUARANTINED needs the same: flatnet hosts release ${hostId}`)
  } else if (hosts.find((h) => h.hostId === hostId)?.link === null) {
    printLine(
      io,
      `host ${hostId} is not in quarantine here; run this where flatnet hosts shows it QUARANTINED.`,
    )
  } else {
    const others = hosts.filter((h) => h.quarantine !== null).map((h) => h.hostId)
    const which = others.length === 0 ? 'no host is' : `host ${others.join(', ')} is`
    printLine(io, `host ${hostId} is not in quarantine on this gateway; ${which}.`)
  }
  return 0
}

export const hostsCommand = command({
  options: { ...placeOptions, ...jsonOption },
  positionals: {
    action: { choices: ['release'], describe: 'release: end the quarantine of a host on this gateway' },
    host: { type: 'number', describe: 'Its number' },
  },
  examples: [
    ['', 'all hosts, and how each is reached'],
    ['release 3', 'admit host 3 again, once the second machine with its number is stopped'],
  ],
  async run({ config, cniConfDir, json, action, host: hostId }, { io, host }) {
    const released = action === undefined ? undefined : hostNumber('release', hostId)
    const places = findGateway(host, { config, cniConfDir })
    if (released !== undefined) return release(io, places, released, json)
    const hosts = await apiGet<HostView[]>(places, '/v1/hosts')
    if (json) printJson(io, hosts)
    else if (hosts.every((h) => h.member === null))
      printLine(io, 'This host is in no cluster: flatnet init, or flatnet join')
    else {
      printLine(io, table(COLUMNS, hosts, widthOf(io)))
      for (const view of hosts) printTroubles(io, view)
    }
    return 0
  },
})
