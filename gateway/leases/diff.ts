/** What the registry must add and remove so that it shows the live leases on disk. Pure. */

import type { Assignment } from '../../core/api.ts'
import { attachmentKey } from '../../core/attachment.ts'
import type { Millis } from '../../core/clock.ts'
import { addressesOf, sameAssignment } from '../registry/registry.ts'

export interface Facts {
  /** Of the live leases. */
  readonly wanted: readonly Assignment[]
  readonly registered: readonly Assignment[]
  /** Networks with an unreadable file: what they hold is unknown, so none of their registrations is dropped. */
  readonly unreadable: ReadonlySet<string>
  /** Monotonic instant before the first file was read. */
  readonly readAt: Millis
  /** When a call last registered this attachment; undefined when the leases did. */
  postedAt(key: string): Millis | undefined
  /** When a call last withdrew it. */
  deletedAt(key: string): Millis | undefined
}

export interface Difference {
  readonly put: readonly Assignment[]
  /** Keys. */
  readonly remove: readonly string[]
}

/**
 * DEL withdraws first, then deletes the link, and the lease last: for this long a lease without registration is one
 * on its way out. After it, a lease that is still there and live belongs to a DEL that failed half-way.
 */
export const DELETE_GRACE_MS: Millis = 10_000

/** What came by a call after the files were read is newer than they are and left alone. */
export function difference(facts: Facts): Difference {
  const registered = new Map(facts.registered.map((a) => [attachmentKey(a), a]))
  const wanted = new Map(withoutRivals(facts.wanted, registered).map((a) => [attachmentKey(a), a]))
  const isNewer = (at: Millis | undefined): boolean => at !== undefined && at >= facts.readAt
  const put = [...wanted].flatMap(([key, lease]) => {
    const known = registered.get(key)
    const deletedAt = facts.deletedAt(key)
    if (deletedAt !== undefined && deletedAt + DELETE_GRACE_MS > facts.readAt) return []
    if (isNewer(facts.postedAt(key))) return []
    const merged = known === undefined ? lease : merge(known, lease)
    return known !== undefined && sameAssignment(known, merged) ? [] : [merged]
  })
  const remove = [...registered].flatMap(([key, known]) =>
    wanted.has(key) || isNewer(facts.postedAt(key)) || facts.unreadable.has(known.network) ? [] : [key],
  )
  return { put, remove }
}

/**
 * Two networks over one slice can lease one address twice. A registered attachment keeps it, else the newest has it:
 * any steady rule will do, as long as two rounds over the same leases end the same way.
 */
function withoutRivals(
  wanted: readonly Assignment[],
  registered: ReadonlyMap<string, Assignment>,
): Assignment[] {
  const taken = new Set<string>()
  const rank = (a: Assignment): number => (registered.has(attachmentKey(a)) ? 0 : 1)
  const inOrder = [...wanted].sort((a, b) => rank(a) - rank(b) || b.createdAt.localeCompare(a.createdAt))
  return inOrder.filter((a) => {
    const ips = addressesOf(a)
    if (ips.some((ip) => taken.has(ip))) return false
    for (const ip of ips) taken.add(ip)
    return true
  })
}

/**
 * The lease decides attachment, host and addresses. Names that only a call has given are kept where the lease has
 * none.
 */
function merge(known: Assignment, lease: Assignment): Assignment {
  const name = lease.name ?? known.name
  return {
    ...lease,
    mac: lease.mac === '' ? known.mac : lease.mac,
    ...(name !== undefined && { name }),
    aliases: lease.aliases.length > 0 ? lease.aliases : known.aliases,
    ports: lease.ports.length > 0 ? lease.ports : known.ports,
  }
}
