/** Who has which address and name: one table per host, each written by its owner alone and versioned by (epoch, seq). */

import type { Assignment } from '../core/api.ts'
import { attachmentKey } from '../core/attachment.ts'
import type { Events } from './events.ts'

/** Highest first; a table is only replaced by a newer one. Epoch rises with each start of its owner, seq with each change. */
export interface Version {
  readonly epoch: number
  readonly seq: number
}

interface HostTable {
  readonly hostId: number
  version: Version
  readonly byKey: Map<string, Assignment>
}

export type Put = 'created' | 'equal' | 'changed'

/** A /24 holds 254; this is a bound for wide slices, so that no caller can fill the memory. */
const MAX_ASSIGNMENTS = 65_536

/** Without the prefix length. */
export const addressesOf = (a: Assignment): string[] => a.ips.map((cidr) => cidr.split('/')[0]!)

/** Lower case: names come back in the Host header, which browsers write in lower case. */
const namesOf = (a: Assignment): string[] => [
  ...new Set([...(a.name === undefined ? [] : [a.name]), ...a.aliases].map((n) => n.toLowerCase())),
]

/** Equal in everything, whatever the order of keys. */
export const sameAssignment = (a: Assignment, b: Assignment): boolean => canonical(a) === canonical(b)

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
  readonly #tables = new Map<number, HostTable>()
  readonly #byIp = new Map<string, Assignment>()
  readonly #byName = new Map<string, Set<Assignment>>()

  constructor(hostId: number, epoch: number, events: Events) {
    this.hostId = hostId
    this.#events = events
    this.#tables.set(hostId, { hostId, version: { epoch, seq: 0 }, byKey: new Map() })
  }

  get size(): number {
    let size = 0
    for (const table of this.#tables.values()) size += table.byKey.size
    return size
  }

  /** Undefined for a host that was never heard of. */
  version(hostId: number): Version | undefined {
    return this.#tables.get(hostId)?.version
  }

  hosts(): readonly { hostId: number; version: Version; assignments: number }[] {
    return [...this.#tables.values()].map((t) => ({
      hostId: t.hostId,
      version: t.version,
      assignments: t.byKey.size,
    }))
  }

  get(key: string): Assignment | undefined {
    return this.#own.byKey.get(key)
  }

  byIp(ip: string): Assignment | undefined {
    return this.#byIp.get(ip)
  }

  /**
   * All that answer to a name or alias, the one to use first: a name beats an alias, then the newest wins.
   * The newest is what somebody who has just started a second `web` means; an old one may be a leftover.
   */
  byName(name: string): readonly Assignment[] {
    const lower = name.toLowerCase()
    const rank = (a: Assignment): number => (a.name?.toLowerCase() === lower ? 0 : 1)
    return [...(this.#byName.get(lower) ?? [])].sort(
      (a, b) =>
        rank(a) - rank(b) ||
        b.createdAt.localeCompare(a.createdAt) ||
        attachmentKey(b).localeCompare(attachmentKey(a)),
    )
  }

  names(): Iterable<string> {
    return this.#byName.keys()
  }

  all(hostId?: number): Assignment[] {
    const tables = hostId === undefined ? [...this.#tables.values()] : [this.#tables.get(hostId)]
    return tables.flatMap((t) => (t === undefined ? [] : [...t.byKey.values()]))
  }

  /** The registered assignments, other than this one itself, that hold one of its addresses. */
  rivals(assignment: Assignment): Assignment[] {
    const key = attachmentKey(assignment)
    const holders = addressesOf(assignment).map((ip) => this.#byIp.get(ip))
    return [...new Set(holders)].filter((a) => a !== undefined && attachmentKey(a) !== key) as Assignment[]
  }

  /**
   * Writes to the own table. The caller has judged rivals; any that is left loses the whole assignment.
   * @throws {RangeError} the table is full
   */
  put(assignment: Assignment): Put {
    const key = attachmentKey(assignment)
    const before = this.#own.byKey.get(key)
    if (before !== undefined && sameAssignment(before, assignment)) return 'equal'
    if (before === undefined && this.#own.byKey.size >= MAX_ASSIGNMENTS) throw new RangeError('registry full')
    for (const rival of this.rivals(assignment)) this.remove(attachmentKey(rival))
    if (before !== undefined) this.#unindex(before)
    this.#own.byKey.set(key, assignment)
    this.#index(assignment)
    this.#bump()
    if (before === undefined) this.#events.emit({ type: 'assignmentAdded', assignment })
    else this.#events.emit({ type: 'assignmentChanged', assignment, before })
    return before === undefined ? 'created' : 'changed'
  }

  /** From the own table; unknown is fine. */
  remove(key: string): Assignment | undefined {
    const assignment = this.#own.byKey.get(key)
    if (assignment === undefined) return undefined
    this.#own.byKey.delete(key)
    this.#unindex(assignment)
    this.#bump()
    this.#events.emit({ type: 'assignmentRemoved', assignment })
    return assignment
  }

  get #own(): HostTable {
    return this.#tables.get(this.hostId)!
  }

  #bump(): void {
    const own = this.#own
    own.version = { epoch: own.version.epoch, seq: own.version.seq + 1 }
  }

  #index(assignment: Assignment): void {
    for (const ip of addressesOf(assignment)) this.#byIp.set(ip, assignment)
    for (const name of namesOf(assignment)) {
      const holders = this.#byName.get(name)
      if (holders === undefined) this.#byName.set(name, new Set([assignment]))
      else holders.add(assignment)
    }
  }

  #unindex(assignment: Assignment): void {
    for (const ip of addressesOf(assignment)) this.#byIp.delete(ip)
    for (const name of namesOf(assignment)) {
      const holders = this.#byName.get(name)
      holders?.delete(assignment)
      if (holders?.size === 0) this.#byName.delete(name)
    }
  }
}
