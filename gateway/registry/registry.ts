/**
 * Which attachment has which address and name: one table per host.
 *
 * Each table is written by its owner alone and versioned by (epoch, seq).
 */

import { type Ipv4, ipOfCidr, parseIpv4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import { attachmentKey } from '../../core/attachment.ts'
import { type Clock, systemClock } from '../../core/clock.ts'
import type { Events } from '../base/events.ts'
import { ChangeLog, type Changes } from './change-log.ts'
import { NameIndex } from './name-index.ts'
import type { Slices } from './slices.ts'
import { type Freshness, HostTable, ipsOf, type Version } from './table.ts'

export type Put = 'created' | 'equal' | 'changed'

export interface HostSummary {
  readonly hostId: number
  readonly version: Version
  readonly freshness: Freshness
  /** ISO 8601, UTC. */
  readonly since: string
  readonly assignments: number
}

/** A /24 holds 254; this is a bound for wide slices, so that no caller can fill the memory. */
export const MAX_ASSIGNMENTS = 65_536

/** Without the prefix length. */
export const addressesOf = (a: Assignment): string[] => a.ips.map(ipOfCidr)

/** Equal in everything, whatever the order of keys. */
export const sameAssignment = (a: Assignment, b: Assignment): boolean =>
  a === b || canonical(a) === canonical(b)

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([x], [y]) => (x < y ? -1 : 1)))
      : v,
  )
}

export class Registry {
  readonly hostId: number
  readonly #events: Events
  readonly #slices: Slices
  readonly #clock: Clock
  readonly #tables = new Map<number, HostTable>()
  readonly #own: HostTable
  readonly #ownByKey = new Map<string, Assignment>()
  readonly #names: NameIndex
  readonly #changes = new ChangeLog()

  constructor(hostId: number, epoch: number, events: Events, slices: Slices, clock: Clock = systemClock) {
    this.hostId = hostId
    this.#events = events
    this.#slices = slices
    this.#clock = clock
    this.#names = new NameIndex(clock)
    this.#own = new HostTable(hostId, { epoch, seq: 0 }, 'live', clock.now())
    this.#tables.set(hostId, this.#own)
  }

  /** Over all hosts. */
  get size(): number {
    let size = 0
    for (const table of this.#tables.values()) size += table.size
    return size
  }

  sizeOf(hostId: number): number {
    return this.#tables.get(hostId)?.size ?? 0
  }

  /** Undefined for a host whose table never came. */
  version(hostId: number): Version | undefined {
    return this.#tables.get(hostId)?.version
  }

  /** In order of hostId. */
  hosts(): readonly HostSummary[] {
    return [...this.#tables.values()]
      .sort((a, b) => a.hostId - b.hostId)
      .map((t) => ({
        hostId: t.hostId,
        version: t.version,
        freshness: t.freshness,
        since: new Date(t.freshSince).toISOString(),
        assignments: t.size,
      }))
  }

  freshness(hostId: number): Freshness | undefined {
    return this.#tables.get(hostId)?.freshness
  }

  /** Of the own host. */
  get(key: string): Assignment | undefined {
    return this.#ownByKey.get(key)
  }

  byIp(ip: string): Assignment | undefined {
    const number = parseIpv4(ip)
    return number === undefined ? undefined : this.#holder(number)
  }

  /** Whether this very attachment holds the address. */
  holds(assignment: Assignment, ip: string): boolean {
    const holder = this.byIp(ip)
    return holder !== undefined && attachmentKey(holder) === attachmentKey(assignment)
  }

  /**
   * All that answer to a name or alias, the one to use first: on a host that is reached, then of the host that had the
   * name first here; within one host a name before an alias, then the newest. A person who has just started a second
   * `web` means the newest; an old one may be a leftover. Another host's date decides nothing: it could be any.
   */
  byName(name: string): readonly Assignment[] {
    const found = this.#names.get(name)
    if (found.length < 2) return found
    const lower = name.toLowerCase()
    const away = (a: Assignment): number => (this.freshness(a.hostId) === 'live' ? 0 : 1)
    const rankOf = this.#names.rankOf(name)
    const alias = (a: Assignment): number => (a.name?.toLowerCase() === lower ? 0 : 1)
    return [...found].sort(
      (a, b) =>
        away(a) - away(b) ||
        rankOf(a.hostId) - rankOf(b.hostId) ||
        alias(a) - alias(b) ||
        b.createdAt.localeCompare(a.createdAt) ||
        attachmentKey(b).localeCompare(attachmentKey(a)),
    )
  }

  /** Names of this host that lead to a container of another one; at most `most` are looked at. */
  shadowed(hostId: number, most: number): { readonly name: string; readonly by: number }[] {
    return [...Iterator.from(this.#names.contested()).take(most)].flatMap((name) => {
      const holders = this.byName(name)
      const [first] = holders
      if (first === undefined || first.hostId === hostId) return []
      return holders.some((a) => a.hostId === hostId) ? [{ name, by: first.hostId }] : []
    })
  }

  names(): Iterable<string> {
    return this.#names.names()
  }

  all(hostId?: number): Assignment[] {
    const tables = hostId === undefined ? [...this.#tables.values()] : [this.#tables.get(hostId)]
    return tables.flatMap((t) => (t === undefined ? [] : [...t.all()]))
  }

  /** The registered assignments, other than this one itself, that hold one of its addresses. */
  rivals(assignment: Assignment): Assignment[] {
    const key = attachmentKey(assignment)
    const holders = ipsOf(assignment).map((ip) => this.#own.byIp.get(ip))
    return [...new Set(holders)].filter((a) => a !== undefined && attachmentKey(a) !== key) as Assignment[]
  }

  /**
   * Writes to the own table. The caller has judged rivals; any that is left loses the whole assignment.
   * @throws {RangeError} the table is full
   */
  put(assignment: Assignment): Put {
    const key = attachmentKey(assignment)
    const before = this.#ownByKey.get(key)
    if (before !== undefined && sameAssignment(before, assignment)) return 'equal'
    if (before === undefined && this.#own.size >= MAX_ASSIGNMENTS) throw new RangeError('registry full')
    for (const rival of this.rivals(assignment)) this.remove(attachmentKey(rival))
    this.#names.add(assignment)
    if (before !== undefined) this.#drop(this.#own, before)
    this.#ownByKey.set(key, assignment)
    this.#own.add(assignment)
    this.#bump([...ipsOf(assignment), ...(before === undefined ? [] : ipsOf(before))])
    if (before === undefined) this.#events.emit({ type: 'assignmentAdded', assignment })
    else this.#events.emit({ type: 'assignmentChanged', assignment, before })
    return before === undefined ? 'created' : 'changed'
  }

  /** From the own table; unknown is fine. */
  remove(key: string): Assignment | undefined {
    const assignment = this.#ownByKey.get(key)
    if (assignment === undefined) return undefined
    this.#ownByKey.delete(key)
    this.#drop(this.#own, assignment)
    this.#bump(ipsOf(assignment))
    this.#events.emit({ type: 'assignmentRemoved', assignment })
    return assignment
  }

  /** Of the own table after `seq` of this epoch; undefined when that is too long ago. */
  changesSince(seq: number): Changes | undefined {
    return this.#changes.last(this.#own.version.seq - seq, (ip) => this.#own.byIp.get(ip))
  }

  /** After it was put on disk; the table stays as it is, under a version above all others. */
  raiseEpoch(epoch: number): void {
    this.#own.version = { epoch, seq: this.#own.version.seq }
  }

  /** Another host's whole table. The caller has judged version and slice. */
  replace(hostId: number, version: Version, assignments: readonly Assignment[]): void {
    const table = this.#tableOf(hostId, version)
    const leaving = new Map([...table.all()].map((a) => [ipsOf(a)[0], a]))
    const coming: Assignment[] = []
    for (const assignment of assignments) {
      const [first] = ipsOf(assignment)
      const known = leaving.get(first)
      // What did not change keeps its identity, and makes no event.
      if (known !== undefined && sameAssignment(known, assignment)) leaving.delete(first)
      else coming.push(assignment)
    }
    this.#exchange(table, [...leaving.values()], coming)
    table.version = version
  }

  /** What changed in another host's table. The caller has judged version and slice. */
  patch(hostId: number, version: Version, { put, del }: Changes): void {
    const table = this.#tableOf(hostId, version)
    const ips = [...del, ...put.flatMap(ipsOf)]
    const leaving = new Set(ips.map((ip) => table.byIp.get(ip)).filter((a) => a !== undefined))
    this.#exchange(table, [...leaving], put)
    table.version = version
  }

  /** The version stays, so that no peer can bring back the old table. */
  empty(hostId: number): void {
    const table = this.#tables.get(hostId)
    if (table !== undefined && table !== this.#own) this.#exchange(table, [...table.all()], [])
  }

  /** The host is no member any more, or another machine has taken its place. */
  forget(hostId: number): void {
    if (hostId === this.hostId) return
    this.empty(hostId)
    this.#tables.delete(hostId)
  }

  /** @returns whether it changed */
  setFreshness(hostId: number, freshness: Freshness): boolean {
    const table = this.#tables.get(hostId)
    if (table === undefined || table.freshness === freshness) return false
    const wasGone = table.freshness === 'gone'
    table.freshness = freshness
    table.freshSince = this.#clock.now()
    if (freshness === 'gone') for (const a of table.all()) this.#names.remove(a)
    else if (wasGone) for (const a of table.all()) this.#names.add(a)
    return true
  }

  /** Who holds an address of that host; for the hash of its table. */
  holder(hostId: number, ip: Ipv4): Assignment | undefined {
    return this.#tables.get(hostId)?.byIp.get(ip)
  }

  #holder(ip: Ipv4): Assignment | undefined {
    return this.#own.byIp.get(ip) ?? this.#tables.get(this.#slices.hostOf(ip) ?? 0)?.byIp.get(ip)
  }

  #tableOf(hostId: number, version: Version): HostTable {
    const known = this.#tables.get(hostId)
    if (known !== undefined) return known
    const table = new HostTable(hostId, version, 'unreachable', this.#clock.now())
    this.#tables.set(hostId, table)
    return table
  }

  /** Same attachment on both lists: it changed. */
  #exchange(table: HostTable, leaving: readonly Assignment[], coming: readonly Assignment[]): void {
    const before = new Map(leaving.map((a) => [attachmentKey(a), a]))
    // Names first come and then go: what only changed keeps them.
    if (table.freshness !== 'gone') for (const a of coming) this.#names.add(a)
    for (const a of leaving) this.#drop(table, a)
    for (const a of coming) table.add(a)
    for (const assignment of coming) {
      const key = before.size === 0 ? '' : attachmentKey(assignment)
      const old = before.get(key)
      before.delete(key)
      if (old === undefined) this.#events.emit({ type: 'assignmentAdded', assignment })
      else if (!sameAssignment(old, assignment))
        this.#events.emit({ type: 'assignmentChanged', assignment, before: old })
    }
    for (const assignment of before.values()) this.#events.emit({ type: 'assignmentRemoved', assignment })
  }

  #drop(table: HostTable, assignment: Assignment): void {
    table.remove(assignment)
    this.#names.remove(assignment)
  }

  #bump(ips: readonly Ipv4[]): void {
    const { epoch, seq } = this.#own.version
    this.#own.version = { epoch, seq: seq + 1 }
    this.#changes.note(ips)
  }
}
