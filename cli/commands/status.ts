/** `flatnet status`: whether this host's gateway is well, what it holds, its paths to other hosts. */

import type { PathInfo } from '../../core/api.ts'
import { formatEndpoint } from '../../core/endpoint.ts'
import type { Status } from '../../gateway/api/status.ts'
import { command } from '../command.ts'
import { apiGet } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { COME_BACK, nextSteps } from '../ui/next-steps.ts'
import { counted, type Io, printJson, printLine, widthOf, wrap } from '../ui/output.ts'
import { pathTables, timeText } from '../ui/path-table.ts'

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const

/** The two largest units, e.g. `3 d 4 h`. */
export function duration(ms: number): string {
  const parts: string[] = []
  let rest = ms
  for (const [size, unit] of UNITS) {
    const n = Math.floor(rest / size)
    rest %= size
    if (n > 0) parts.push(`${n} ${unit}`)
  }
  return parts.slice(0, 2).join(' ') || 'less than 1 s'
}

function reconcileText({ reconcile }: Status): string {
  if (reconcile === null) return 'not yet'
  const { at, live, stale, runs, failures, problem } = reconcile
  const bad = problem === undefined ? '' : `; last problem: ${problem}`
  const leases = `${live} live and ${counted(stale, 'stale lease')}`
  return `${timeText(at)} UTC, ${leases}, ${counted(runs, 'run')}, ${failures} failed${bad}`
}

function clusterText({ cluster }: Status): string {
  if (cluster === null) return 'none'
  const { name, members, linksUp, expelled, certificate } = cluster
  if (expelled !== null) return `no member of ${name} any more: ${expelled}`
  const warning = certificate.warning === undefined ? '' : `; ${certificate.warning}`
  return (
    `${name}, ${counted(members, 'host')}, ${linksUp} linked, ` +
    `certificate until ${certificate.validTo.slice(0, 10)}${warning}`
  )
}

/** The way back for a host that the others refuse. */
const outside = ({ cluster }: Status): string[] =>
  cluster === null || cluster.expelled === null ? [] : [`this host is out of ${cluster.name}: ${COME_BACK}`]

/** A cluster of 254 hosts must not fill the screen. */
const MAX_EXPLAINED = 10

/** One sentence for each host that packets do not reach directly: why, and when it is tried next. */
export function whyNotDirect(paths: readonly PathInfo[], now: number): string[] {
  const indirect = paths.filter((p) => p.p2p !== undefined && p.state !== 'P2P_ACTIVE' && p.state !== 'LOCAL')
  const lines = indirect.slice(0, MAX_EXPLAINED).map(({ hostId, p2p }) => {
    const { reason = '', attempts = 0, nextAttemptAt } = p2p ?? {}
    const seconds = nextAttemptAt === undefined ? 0 : Math.ceil((Date.parse(nextAttemptAt) - now) / 1000)
    const next = seconds > 0 ? `; next try in ${duration(seconds * 1000)} (${attempts} so far)` : ''
    return `host ${hostId} is not direct: ${reason}${next}`
  })
  const more = indirect.length - lines.length
  return more > 0 ? [...lines, `${counted(more, 'more host')} not direct: flatnet status --json`] : lines
}

const isPast = (at: string | null | undefined): boolean => Date.parse(at ?? '') < Date.now()

/** One row: the Nebula that packets may go by, and what keeps them from it. */
function nebulaRows({ nebula, paths }: Status): (readonly [string, string])[] {
  // A gateway of an older version has no such field.
  if (nebula === undefined || nebula === null) return []
  const { device, pid, problem, version } = nebula
  const which = [device, ...(version === null ? [] : [version]), ...(pid === null ? [] : [`pid ${pid}`])]
  const users = paths.filter(({ via }) => via === 'nebula').length
  const others = paths
    .filter((p) => p.nebula !== undefined && p.state !== 'P2P_ACTIVE' && p.state !== 'LOCAL')
    .slice(0, MAX_EXPLAINED)
    .map((p) => `not to host ${p.hostId}: ${p.nebula?.reason}`)
  // A gateway of an older version says nothing of these.
  const silent = (nebula.lighthouses ?? []).filter(({ state }) => state === 'silent')
  const more = [
    ...silent.map(({ address }) => `lighthouse ${address} gives no answer`),
    ...[nebula.complaint ?? []].flat(),
    ...(isPast(nebula.validTo) ? [`its certificate expired on ${nebula.validTo?.slice(0, 10)}`] : []),
  ]
  const why = problem === null ? [...others, ...more] : [problem]
  return [['nebula', [`${which.join(', ')}, carries to ${counted(users, 'host')}`, ...why].join('; ')]]
}

/** One row: where HTTPS listens and until when its certificates last; or what is wrong with it. */
function httpsRows({ ingress }: Status): (readonly [string, string])[] {
  const tls = ingress?.tls
  // A gateway of an older version has no such field.
  if (tls === undefined || tls === null) return []
  const [first] = tls.certificates.map((c) => c.validTo.slice(0, 10)).sort()
  const until = first === undefined ? 'no certificate' : `certificate until ${first}`
  const connections = counted(tls.connections, 'connection')
  const all = [`https://${formatEndpoint(tls.address, tls.port)}/, ${connections}, ${until}`, ...tls.problems]
  return [['https', all.join('; ')]]
}

/** One row: where names are served, and what keeps the gateway from it. */
function dnsRows({ dns }: Status): (readonly [string, string])[] {
  // A gateway of an older version has no such field.
  if (dns === undefined || dns === null) return []
  const where = dns.networks.map(({ address, state, problem }) => problem ?? `${address} ${state}`)
  return [['names', [`NAME.${dns.domain}`, ...where].join('; ')]]
}

/** One row: what this host carries for pairs of others. */
function relayRows({ relay }: Status): (readonly [string, string])[] {
  // A gateway of an older version has no such field.
  if (relay === undefined || relay === null) return []
  const { bandwidthMbit, bps, maxPairs, pairs, region, volunteer } = relay
  const of = bandwidthMbit === null ? '' : ` of ${bandwidthMbit}`
  const load = `${pairs} of ${counted(maxPairs, 'pair')} of other hosts, ${(bps / 1e6).toFixed(1)}${of} Mbit/s`
  const where = region === null ? '' : `; region ${region}`
  return [['relays', (volunteer ? load : 'for no other hosts (relay.volunteer)') + where]]
}

/** One row: TURN servers, whether one is used, and what is wrong with it. */
function turnRows({ p2p }: Status): (readonly [string, string])[] {
  const servers = p2p?.turn ?? []
  if (servers.length === 0) return []
  const texts = servers.map(({ problem, relayed, server, state }) => {
    if (problem !== undefined) return `${server}: ${problem}`
    return relayed === undefined ? `${server} ${state}` : `${server} relays from ${relayed}`
  })
  return [['turn', texts.join('; ')]]
}

/** One row: how many names are published on the LAN, where, and what keeps the gateway from more. */
function mdnsRows({ mdns }: Status): (readonly [string, string])[] {
  // A gateway of an older version has no such field.
  if (mdns === undefined || mdns === null) return []
  const { links, probing, problem, published, taken } = mdns
  const more = probing === 0 ? '' : `, ${probing} being asked for`
  const all = [
    `NAME.local, ${published} published${more}`,
    ...links.map(
      (link) => `${link.ifname} ${link.address}${link.problem === null ? '' : `: ${link.problem}`}`,
    ),
    ...taken.map(({ name, ifname, by }) => `${name} is taken by ${by} on ${ifname}`),
    ...(problem === null ? [] : [problem]),
  ]
  return [['on the LAN', all.join('; ')]]
}

/** One row: requests that wait for a way to their host, and what is kept for others. */
function messageRows({ messages }: Status): (readonly [string, string])[] {
  // A gateway of an older version has no such field.
  if (messages === undefined || messages === null) return []
  const { kept, waiting } = messages
  const wait = waiting === 1 ? '1 request waits for its host' : `${waiting} requests wait for their hosts`
  return [['messages', `${wait}, ${counted(kept, 'message')} kept`]]
}

/** Keys are before it. */
const INDENT = ' '.repeat(12)

function print(io: Io, status: Status): void {
  const { ingress } = status
  const width = widthOf(io)
  const rows: (readonly [string, string])[] = [
    ['host', `${status.hostId}, owns ${status.slice} of ${status.supernet}`],
    ['gateway', `${status.version ?? 'unknown version'}, pid ${status.pid}, up ${duration(status.uptimeMs)}`],
    ['cluster', clusterText(status)],
    ['containers', String(status.assignments)],
    [
      'ingress',
      ingress === null
        ? 'off'
        : `http://${formatEndpoint(ingress.address, ingress.port)}/, ${counted(ingress.connections, 'connection')}`,
    ],
    ...httpsRows(status),
    ...dnsRows(status),
    ...mdnsRows(status),
    ...relayRows(status),
    ...nebulaRows(status),
    ...turnRows(status),
    ...messageRows(status),
    ['reconciled', reconcileText(status)],
    ['memory', `${Math.round(status.memory.rssBytes / 1_048_576)} MB`],
  ]
  for (const [key, value] of rows)
    printLine(io, wrap(value, INDENT, width).replace(INDENT, key.padEnd(INDENT.length)))
  for (const text of pathTables(status.paths, width)) printLine(io, `\n${text}`)
  const alarms = status.alarms.map(({ hostId, reason, next }) => `host ${hostId}: ${reason}; next: ${next}`)
  const todo = [
    ...outside(status),
    ...nextSteps(status.paths, status.hostId),
    ...whyNotDirect(status.paths, Date.now()),
    ...alarms,
  ]
  if (todo.length > 0) printLine(io, `\n${todo.map((line) => wrap(line, '', width)).join('\n')}`)
}

export const statusCommand = command({
  options: {
    ...placeOptions,
    json: { type: 'boolean', default: false, describe: 'JSON, as GET /v1/status gives it' },
  },
  examples: [
    ['', 'the gateway of this host, each path, and what was measured of each UDP path'],
    ['--json', 'the same for scripts'],
  ],
  async run({ config, cniConfDir, json }, { io, host }) {
    const places = findGateway(host, { config, cniConfDir })
    const status = await apiGet<Status>(places, '/v1/status')
    if (json) printJson(io, status)
    else print(io, status)
    return 0
  },
})
