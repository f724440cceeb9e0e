/**
 * The rows of `flatnet status` above its tables: what each part of the gateway does, and what is wrong with it. Pure.
 */

import { formatEndpoint } from '../../core/endpoint.ts'
import type { Status } from '../../gateway/api/status.ts'
import { counted } from '../ui/output.ts'
import { duration } from './duration.ts'
import { timeText } from './path-table.ts'
import { isNotDirect, MAX_EXPLAINED } from './why-not-direct.ts'

interface Row {
  readonly key: string
  /** In the order to print; none: the row is left out. */
  readonly parts: (status: Status) => readonly string[]
}

/** A row that always stands. */
const row = (key: string, text: (status: Status) => string): Row => ({
  key,
  parts: (status) => [text(status)],
})

/** A row about a field of the status that is null when switched off, and absent on a gateway of an older version. */
const rowOf = <Name extends keyof Status>(
  key: string,
  name: Name,
  parts: (field: NonNullable<Status[Name]>, status: Status) => readonly string[],
): Row => ({
  key,
  parts: (status) => {
    const field = status[name] ?? undefined
    return field === undefined ? [] : parts(field, status)
  },
})

const ROWS: readonly Row[] = [
  row('host', ({ hostId, slice, supernet }) => `${hostId}, owns ${slice} of ${supernet}`),
  row(
    'gateway',
    ({ version, pid, uptimeMs }) => `${version ?? 'unknown version'}, pid ${pid}, up ${duration(uptimeMs)}`,
  ),
  row('cluster', clusterText),
  row('containers', ({ assignments }) => String(assignments)),
  row('ingress', ingressText),
  rowOf('https', 'ingress', httpsParts),
  rowOf('names', 'dns', ({ domain, networks }) => [
    `NAME.${domain}`,
    ...networks.map(({ address, state, problem }) => problem ?? `${address} ${state}`),
  ]),
  rowOf('on the LAN', 'mdns', mdnsParts),
  rowOf('relays', 'relay', relayParts),
  rowOf('nebula', 'nebula', nebulaParts),
  rowOf('turn', 'p2p', turnParts),
  rowOf('messages', 'messages', ({ kept, waiting }) => {
    const wait = waiting === 1 ? '1 request waits for its host' : `${waiting} requests wait for their hosts`
    return [`${wait}, ${counted(kept, 'message')} kept`]
  }),
  row('reconciled', reconcileText),
  row('memory', ({ memory }) => `${Math.round(memory.rssBytes / 1_048_576)} MB`),
]

export const statusRows = (status: Status): { readonly key: string; readonly text: string }[] =>
  ROWS.map(({ key, parts }) => ({ key, text: parts(status).join('; ') })).filter(({ text }) => text !== '')

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

function ingressText({ ingress }: Status): string {
  if (ingress === null) return 'off'
  const { address, connections, port } = ingress
  return `http://${formatEndpoint(address, port)}/, ${counted(connections, 'connection')}`
}

/** Where HTTPS listens and until when its certificates last; or what is wrong with it. */
function httpsParts({ tls }: NonNullable<Status['ingress']>): string[] {
  if (tls === undefined || tls === null) return []
  const [first] = tls.certificates.map((c) => c.validTo.slice(0, 10)).sort()
  const until = first === undefined ? 'no certificate' : `certificate until ${first}`
  const connections = counted(tls.connections, 'connection')
  return [`https://${formatEndpoint(tls.address, tls.port)}/, ${connections}, ${until}`, ...tls.problems]
}

/** How many names are published on the LAN, where, and what keeps the gateway from more. */
function mdnsParts({ links, probing, problem, published, taken }: NonNullable<Status['mdns']>): string[] {
  const more = probing === 0 ? '' : `, ${probing} being asked for`
  return [
    `NAME.local, ${published} published${more}`,
    ...links.map(
      (link) => `${link.ifname} ${link.address}${link.problem === null ? '' : `: ${link.problem}`}`,
    ),
    ...taken.map(({ name, ifname, by }) => `${name} is taken by ${by} on ${ifname}`),
    ...(problem === null ? [] : [problem]),
  ]
}

/** What this host carries for pairs of others. */
function relayParts(relay: NonNullable<Status['relay']>): string[] {
  const { bandwidthMbit, bps, maxPairs, pairs, region, volunteer } = relay
  const of = bandwidthMbit === null ? '' : ` of ${bandwidthMbit}`
  const load = `${pairs} of ${counted(maxPairs, 'pair')} of other hosts, ${(bps / 1e6).toFixed(1)}${of} Mbit/s`
  return [
    volunteer ? load : 'for no other hosts (relay.volunteer)',
    ...(region === null ? [] : [`region ${region}`]),
  ]
}

const isPast = (at: string | null | undefined): boolean => Date.parse(at ?? '') < Date.now()

/** The Nebula that packets may go by, and what keeps them from it. */
function nebulaParts(nebula: NonNullable<Status['nebula']>, { paths }: Status): string[] {
  const { device, pid, problem, version } = nebula
  const which = [device, ...(version === null ? [] : [version]), ...(pid === null ? [] : [`pid ${pid}`])]
  const users = paths.filter(({ via }) => via === 'nebula').length
  const first = `${which.join(', ')}, carries to ${counted(users, 'host')}`
  if (problem !== null) return [first, problem]
  // A gateway of an older version says nothing of these.
  const silent = (nebula.lighthouses ?? []).filter(({ state }) => state === 'silent')
  return [
    first,
    ...paths
      .filter((path) => path.nebula !== undefined && isNotDirect(path))
      .slice(0, MAX_EXPLAINED)
      .map((path) => `not to host ${path.hostId}: ${path.nebula?.reason}`),
    ...silent.map(({ address }) => `lighthouse ${address} gives no answer`),
    ...[nebula.complaint ?? []].flat(),
    ...(isPast(nebula.validTo) ? [`its certificate expired on ${nebula.validTo?.slice(0, 10)}`] : []),
  ]
}

/** TURN servers, whether one is used, and what is wrong with it. */
function turnParts({ turn = [] }: NonNullable<Status['p2p']>): string[] {
  return turn.map(({ problem, relayed, server, state }) => {
    if (problem !== undefined) return `${server}: ${problem}`
    return relayed === undefined ? `${server} ${state}` : `${server} relays from ${relayed}`
  })
}

function reconcileText({ reconcile }: Status): string {
  if (reconcile === null) return 'not yet'
  const { at, live, stale, runs, failures, problem } = reconcile
  const bad = problem === undefined ? '' : `; last problem: ${problem}`
  const leases = `${live} live and ${counted(stale, 'stale lease')}`
  return `${timeText(at)} UTC, ${leases}, ${counted(runs, 'run')}, ${failures} failed${bad}`
}
