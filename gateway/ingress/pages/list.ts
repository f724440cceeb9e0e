/** The page that lists running containers, and the one for a name that no container has. */

import { nearest } from '../../../conf/nearest.ts'
import type { Assignment } from '../../../core/api.ts'
import { attachmentKey } from '../../../core/attachment.ts'
import type { OwnRequest } from '../../gossip/own-requests.ts'
import { addressesOf, type Registry } from '../../registry/registry.ts'
import type { Form } from './accept.ts'
import { escapeHtml, page } from './html.ts'
import { plain } from './plain.ts'

export interface Entry {
  readonly name: string
  readonly hostId: number
  readonly network: string
  readonly containerId: string
  readonly address: string
  readonly httpPort: number
  readonly aliases: readonly string[]
  readonly createdAt: string
  /** Relative to the gateway's root, works without DNS. */
  readonly path: string
  /** Another container answers to this name; this one is reached by its address. */
  readonly shadowed: boolean
  /** Its host cannot be reached; the container may well run. */
  readonly unreachable: boolean
}

/** Without its id, by which the answer is read. */
type Waiting = Pick<OwnRequest, 'method' | 'target' | 'to' | 'at'>

export interface ListPage {
  readonly hostId: number
  /** undefined: not shown, as the request came under a name that may be a stranger's. */
  readonly entries: readonly Entry[] | undefined
  /** Requests that wait as messages for a way to their host. */
  readonly waiting: readonly Waiting[]
  /** The name that was asked for; undefined on the plain list. Empty: a path of the gateway itself. */
  readonly unknown?: { readonly name: string; readonly near: readonly string[] }
}

/** Enough for four hosts with a /24 each; a longer page helps no reader. */
const MAX_ENTRIES = 1000
const MAX_WAITING = 50

export function listOf(registry: Registry): Entry[] {
  return registry
    .all()
    .map((assignment) => entryOf(assignment, registry))
    .sort((a, b) => a.name.localeCompare(b.name) || a.address.localeCompare(b.address))
}

function entryOf(assignment: Assignment, registry: Registry): Entry {
  const [address = ''] = addressesOf(assignment)
  const name = assignment.name ?? assignment.aliases[0] ?? address
  const [first] = registry.byName(name)
  const isFirst = first !== undefined && attachmentKey(first) === attachmentKey(assignment)
  return {
    name,
    hostId: assignment.hostId,
    network: assignment.network,
    containerId: assignment.containerId,
    address,
    httpPort: assignment.httpPort,
    aliases: assignment.aliases,
    createdAt: assignment.createdAt,
    path: `/~${encodeURIComponent(isFirst ? name : address.replaceAll('.', '-'))}/`,
    shadowed: first !== undefined && !isFirst,
    unreachable: registry.freshness(assignment.hostId) !== 'live',
  }
}

export const nearNames = (name: string, registry: Registry): string[] =>
  nearest(name, Iterator.from(registry.names()).take(MAX_ENTRIES), 5)

export function renderList(list: ListPage, form: Form): string {
  if (form === 'json') return `${JSON.stringify(asJson(list))}\n`
  return form === 'html' ? asHtml(list) : asText(list)
}

const SEE_LIST = "The gateway lists what runs under its machine's address and name."

const titleOf = ({ hostId, unknown }: ListPage): string => {
  if (unknown === undefined) return `Flatnet, host ${hostId}`
  return unknown.name === '' ? 'There is nothing at this path' : `No container is called ${unknown.name}`
}

function asJson({ hostId, entries, unknown, waiting }: ListPage): unknown {
  if (unknown === undefined) return { hostId, containers: entries, waiting: waiting.map(asEntry) }
  const title = titleOf({ hostId, entries, unknown, waiting })
  const shown = entries === undefined ? {} : { containers: entries }
  return { code: 'unknown-name', message: title, hostId, near: unknown.near, ...shown }
}

const asEntry = ({ at, method, target, to }: Waiting): unknown => ({
  hostId: to,
  method,
  target,
  since: new Date(at).toISOString(),
})

const outOfReach = ({ hostId }: Entry): string => `host ${hostId} is out of reach`

/** Whether containers of a host out of reach run is not known here, so they are counted apart. */
function countText(entries: readonly Entry[]): string {
  const away = entries.filter((e) => e.unreachable).length
  if (entries.length === 0) return 'No container runs.'
  return `${entries.length - away} running${away === 0 ? '' : `, ${away} out of reach`}.`
}

function asText(list: ListPage): string {
  const lines = [titleOf(list)]
  if (list.unknown !== undefined && list.unknown.near.length > 0)
    lines.push(`Did you mean ${list.unknown.near.join(', ')}?`)
  const { entries } = list
  if (entries === undefined) return plain([...lines, SEE_LIST])
  lines.push(entries.length === 0 ? 'No container runs.' : 'These run:')
  for (const e of entries.slice(0, MAX_ENTRIES))
    lines.push(`  ${e.path}  ${e.address}:${e.httpPort}${e.unreachable ? `  (${outOfReach(e)})` : ''}`)
  for (const each of list.waiting.slice(0, MAX_WAITING)) lines.push(`  ${waitingText(each)}`)
  return plain(lines)
}

const waitingText = ({ at, method, target, to }: Waiting): string =>
  `${method} ${target} waits for a way to host ${to} since ${new Date(at).toISOString()}`

function asHtml(list: ListPage): string {
  const { entries, unknown } = list
  const near = (unknown?.near ?? []).map(
    (n) => `<a href="/~${escapeHtml(encodeURIComponent(n))}/">${escapeHtml(n)}</a>`,
  )
  const hint = near.length === 0 ? '' : `<p>Did you mean ${near.join(', ')}?</p>\n`
  if (entries === undefined) return page(titleOf(list), `${hint}<p>${SEE_LIST}</p>\n`)
  const items = entries.slice(0, MAX_ENTRIES).map(item).join('\n')
  const waiting = list.waiting
    .slice(0, MAX_WAITING)
    .map((each) => `<li>${escapeHtml(waitingText(each))}</li>`)
  const late = waiting.length === 0 ? '' : `<p>Requests that wait:</p>\n<ul>${waiting.join('\n')}</ul>\n`
  return page(titleOf(list), `${hint}<p>${countText(entries)}</p>\n<ul>${items}</ul>\n${late}`)
}

function item(e: Entry): string {
  const aliases = e.aliases.filter((a) => a !== e.name)
  const facts = [
    `<code>${escapeHtml(`${e.address}:${e.httpPort}`)}</code>`,
    e.unreachable ? `<strong>${outOfReach(e)}</strong>` : `host ${e.hostId}`,
    escapeHtml(e.network),
    ...(aliases.length === 0 ? [] : [`also ${escapeHtml(aliases.slice(0, 8).join(', '))}`]),
    ...(e.shadowed ? ['another container has this name, so this link goes by address'] : []),
  ]
  return `<li><a href="${escapeHtml(e.path)}">${escapeHtml(e.name)}</a><small>${facts.join(' · ')}</small></li>`
}
