/** Tables in pages: cut where they are sent, put together where they arrive, bounded on both sides. */

import type { Assignment } from '../../core/api.ts'
import type { Changes } from '../registry/change-log.ts'
import { MAX_ASSIGNMENTS } from '../registry/registry.ts'
import { ipsOf } from '../registry/table.ts'
import { claimIn, type Signed, type TablePage } from './messages.ts'
import { type BadRecord, type RecordDecoder, wireRecord } from './record.ts'

/** About 256 KiB of JSON: 3 ms to read, so that heartbeats come through between two pages. */
const PAGE_WEIGHT = 262_144
/** Of one table in arrival. */
const MAX_WEIGHT = 64 * 1024 * 1024
/** Tables in arrival at once from one peer; it sends them one after the other. */
const MAX_OPEN = 4

/** `["sctp","192.168.100.100",65535,65535],` */
const PORT_WEIGHT = 40
/** `"255.255.255.255",` */
const ADDRESS_WEIGHT = 18

/** JSON bytes at most, unless names have quotes in them; a reader takes four times a page (links/frames.ts). */
const weightOf = (a: Assignment): number =>
  250 +
  a.ports.length * PORT_WEIGHT +
  [...a.aliases, a.name ?? '', a.network].reduce((sum, text) => sum + Buffer.byteLength(text) + 3, 0)

/** An empty table is one empty page. */
export function pagesOf(signed: Signed, assignments: Iterable<Assignment>, ageMs: number): TablePage[] {
  const pages: Assignment[][] = [[]]
  let weight = 0
  for (const a of assignments) {
    if (weight > 0 && weight + weightOf(a) > PAGE_WEIGHT) {
      pages.push([])
      weight = 0
    }
    pages.at(-1)?.push(a)
    weight += weightOf(a)
  }
  return pages.map((records, page) => ({
    type: 'registry.table',
    ...claimIn(signed),
    ageMs,
    page,
    pages: pages.length,
    records: records.map(wireRecord),
  }))
}

/** Above this a delta is more work than the table in pages. */
export const fitsOnePage = ({ put, del }: Changes): boolean =>
  put.reduce((sum, a) => sum + weightOf(a), del.length * ADDRESS_WEIGHT) <= PAGE_WEIGHT

export type Arrival =
  | { readonly kind: 'complete'; readonly assignments: readonly Assignment[] }
  | { readonly kind: 'more' }
  | { readonly kind: 'bad'; readonly reason: BadRecord | 'too-big' }

interface Open {
  readonly claim: Signed
  readonly pages: number
  readonly assignments: Assignment[]
  readonly ips: Set<number>
  next: number
  weight: number
}

/** The tables that one peer is sending. */
export class Arrivals {
  readonly #decoder: RecordDecoder
  readonly #open = new Map<number, Open>()

  constructor(decoder: RecordDecoder) {
    this.#decoder = decoder
  }

  /** Page 0 starts over. A page out of order ends its table: links are ordered, so something was lost. */
  add(page: TablePage): Arrival {
    if (page.page === 0) this.#begin(page)
    const open = this.#open.get(page.hostId)
    if (
      open === undefined ||
      open.next !== page.page ||
      open.pages !== page.pages ||
      !sameClaim(open, page)
    ) {
      this.#open.delete(page.hostId)
      return { kind: 'bad', reason: 'malformed' }
    }
    const bad = this.#handle(open, page)
    open.next++
    if (bad !== undefined || open.next === open.pages) this.#open.delete(page.hostId)
    if (bad !== undefined) return { kind: 'bad', reason: bad }
    return open.next === open.pages ? { kind: 'complete', assignments: open.assignments } : { kind: 'more' }
  }

  #begin(page: TablePage): void {
    this.#open.delete(page.hostId)
    const [oldest] = this.#open.keys()
    if (this.#open.size >= MAX_OPEN && oldest !== undefined) this.#open.delete(oldest)
    this.#open.set(page.hostId, {
      claim: claimIn(page),
      pages: page.pages,
      assignments: [],
      ips: new Set(),
      next: 0,
      weight: 0,
    })
  }

  #handle(open: Open, page: TablePage): BadRecord | 'too-big' | undefined {
    for (const record of page.records) {
      const assignment = this.#decoder.decode(record, page.hostId)
      if (typeof assignment === 'string') return assignment
      for (const ip of ipsOf(assignment)) {
        if (open.ips.has(ip)) return 'malformed'
        open.ips.add(ip)
      }
      open.assignments.push(assignment)
      open.weight += weightOf(assignment)
    }
    return open.weight > MAX_WEIGHT || open.assignments.length > MAX_ASSIGNMENTS ? 'too-big' : undefined
  }
}

const sameClaim = ({ claim }: Open, page: TablePage): boolean =>
  claim.epoch === page.epoch &&
  claim.seq === page.seq &&
  claim.nonce === page.nonce &&
  claim.hash === page.hash &&
  claim.sig === page.sig
