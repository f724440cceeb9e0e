/** `flatnet ps`: the containers on the network, from the gateway, or from the leases while it is down. */

import { ipOfCidr } from '../../core/addr.ts'
import type { Assignment, ListedAssignment, PortMapping } from '../../core/api.ts'
import { command, jsonOption } from '../command.ts'
import { apiGet, GatewayDownError } from '../host/client.ts'
import { assignmentsOnDisk } from '../host/leases.ts'
import { findGateway, type Places, placeOptions } from '../host/places.ts'
import { hostNumber } from '../ui/host-number.ts'
import { type Column, printJson, printLine, table, widthOf } from '../ui/output.ts'

function portText({ hostIP, hostPort, containerPort, protocol }: PortMapping): string {
  const host = hostIP === '' ? '' : `${hostIP}:`
  return `${host}${hostPort}->${containerPort}${protocol === 'tcp' ? '' : `/${protocol}`}`
}

/** Leases on disk lack what only the gateway knows; those columns stay empty. */
type Row = Assignment & Partial<ListedAssignment>

const hostText = ({ hostId, hostState = 'live' }: Row): string =>
  hostState === 'live' ? String(hostId) : `${hostId} (${hostState})`

const COLUMNS: readonly Column<Row>[] = [
  { title: 'NAME', value: (a) => a.name ?? '-', min: 12 },
  { title: 'ADDRESS', value: (a) => a.ips.map(ipOfCidr).join(','), min: 15 },
  { title: 'HOST', value: hostText, min: 4 },
  { title: 'NETWORK', value: (a) => a.network, min: 8 },
  { title: 'CONTAINER', value: (a) => a.containerId.slice(0, 12) },
  { title: 'IF', value: (a) => a.ifname },
  { title: 'HTTP', value: (a) => String(a.httpPort) },
  { title: 'PORTS', value: (a) => a.ports.map(portText).join(',') || '-', min: 5 },
]

const byAddress = (a: Assignment, b: Assignment): number =>
  (a.ips[0] ?? '').localeCompare(b.ips[0] ?? '', 'en', { numeric: true })

function nothing({ networks }: Places, name: string | undefined, hostId: number | undefined): string {
  const called = name === undefined ? '' : ` called ${name}`
  const on = hostId === undefined ? '' : ` on host ${hostId}`
  if (called !== '' || on !== '') return `no container${called}${on}; all of them: flatnet ps`
  return `no containers; start one: podman run --network ${networks[0]?.name ?? 'flatnet'} ...`
}

export const psCommand = command({
  options: {
    ...placeOptions,
    ...jsonOption,
    name: { type: 'string', requiresArg: true, describe: 'Only those with this name or alias' },
    host: { type: 'number', requiresArg: true, describe: 'Only those on the host with this hostId' },
  },
  examples: [
    ['', 'all containers that the gateway knows'],
    ['--host 2', 'those of host 2'],
    ['--name web --json', 'those called web, for scripts'],
  ],
  async run({ config, cniConfDir, json, name, host: hostId }, { io, host }) {
    if (hostId !== undefined) hostNumber('--host', hostId)
    const places = findGateway(host, { config, cniConfDir })
    const query = new URLSearchParams({
      ...(name !== undefined && { name }),
      ...(hostId !== undefined && { host: String(hostId) }),
    })
    let found: Row[]
    try {
      found = await apiGet<Row[]>(places, `/v1/assignments?${query}`)
    } catch (err) {
      if (!(err instanceof GatewayDownError) || err.silence === 'denied') throw err
      io.stderr.write(
        `flatnet: ${err.message}\n  next: ${err.next}\n  what follows are the leases on disk, of this host alone\n`,
      )
      found = (await assignmentsOnDisk(places)).filter(
        (a) =>
          (hostId === undefined || a.hostId === hostId) &&
          (name === undefined || a.name === name || a.aliases.includes(name)),
      )
    }
    found.sort(byAddress)
    if (json) printJson(io, found)
    else if (found.length > 0) printLine(io, table(COLUMNS, found, widthOf(io)))
    else printLine(io, nothing(places, name, hostId))
    return 0
  },
})
