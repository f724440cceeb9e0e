/** The names of this host on one link: probed for, announced, answered, defended and taken back (RFC 6762). */

import type { Millis } from '../../core/clock.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { WindowLimit } from '../base/window-limit.ts'
import { ConflictPace } from './conflict-pace.ts'
import { Echoes } from './echoes.ts'
import {
  announcementSent,
  answerKnown,
  ask,
  type Entry,
  freed,
  isKnown,
  isProbeNext,
  newEntry,
  PROBE_MS,
  probeAfterFlood,
  probeFrom,
  probeSent,
  taken,
  tieLost,
} from './entry.ts'
import {
  encodeLegacyResponse,
  encodeQueries,
  encodeResponses,
  type Message,
  type Question,
  type ResourceRecord,
  readMessage,
} from './message.ts'
import { ReadBudget } from './read-budget.ts'
import {
  addressRecord,
  goodbyeRecord,
  legacyRecord,
  onlyAddressRecord,
  probedRecord,
  tiebreak,
} from './records.ts'

export const MDNS_PORT = 5353

export interface Sender {
  readonly address: string
  readonly port: number
}

/** `flood`: more than a LAN says; `malformed`: no message; `stranger`: asked from another network. */
type Dropped = 'flood' | 'malformed' | 'stranger'

export interface LinkNamesDeps {
  /** What the names are answered with. */
  readonly address: string
  readonly scheduler: Scheduler
  /** 0 to 1. */
  random(): number
  /** To all on the link. */
  send(bytes: Buffer): void
  reply(bytes: Buffer, to: Sender): void
  isOnLink(address: string): boolean
  /** Of this host, on any link. */
  isOwn(address: string): boolean
  dropped(why: Dropped): void
  /** More came than is read: for `restMs` nothing is to be. */
  flooded(restMs: Millis): void
  taken(name: string, by: string): void
}

/** Unicast answers: each goes to an address that could be forged, though only to one of the LAN. */
const LEGACY = { windowMs: 1_000, perClient: 20, total: 200 }
/** Conventional resolvers ask one question a message. */
const LEGACY_QUESTIONS = 4

export class LinkNames {
  readonly #deps: LinkNamesDeps
  readonly #entries = new Map<string, Entry>()
  readonly #budget = new ReadBudget()
  readonly #legacy = new WindowLimit(LEGACY)
  readonly #pace = new ConflictPace()
  readonly #echoes = new Echoes()
  #timer: { readonly at: Millis; cancel(): void } | undefined

  constructor(deps: LinkNamesDeps) {
    this.#deps = deps
  }

  get names(): readonly Readonly<Pick<Entry, 'name' | 'phase' | 'by'>>[] {
    return [...this.#entries.values()]
  }

  /** All names that there are now, e.g. `web.local`, lower case. Those that went are taken back. */
  setNames(names: ReadonlySet<string>): void {
    const gone = [...this.#entries.values()].filter(({ name }) => !names.has(name))
    for (const { name } of gone) this.#entries.delete(name)
    const known = gone.filter(({ toldAt }) => toldAt !== -Infinity)
    this.#send(encodeResponses(known.map((entry) => ({ answers: [goodbyeRecord(entry)] }))))
    const { address, random } = this.#deps
    // The same wait for all that are new: their probes share messages.
    const dueAt = this.#now() + random() * PROBE_MS
    for (const name of names)
      if (!this.#entries.has(name)) this.#entries.set(name, newEntry({ name, address }, dueAt))
    this.#arm()
  }

  /**
   * The link was interrupted, and may lead to another network now, where another host may have these names: RFC 6762 8
   * starts anew. What caches know stays, as it may be the same network.
   */
  restart(): void {
    const dueAt = this.#now() + this.#deps.random() * PROBE_MS
    for (const entry of this.#entries.values()) probeFrom(entry, dueAt)
    this.#arm()
  }

  receive(bytes: Buffer, from: Sender): void {
    if (from.address === this.#deps.address && this.#echoes.heard(bytes)) return
    const message = this.#readable(bytes)
    if (message === undefined) return
    if (message.isQuery) {
      this.#probed(message, from)
      if (from.port === MDNS_PORT) this.#asked(message, from)
      else this.#answerLegacy(message, from)
    } else if (from.port === MDNS_PORT) {
      // RFC 6762 6: an answer from another port is none.
      for (const record of [...message.answers, ...message.additionals]) this.#claimed(record, from)
    }
    this.#arm()
  }

  #now(): Millis {
    return this.#deps.scheduler.monotonic()
  }

  #readable(bytes: Buffer): Message | undefined {
    const restMs = this.#budget.spend(bytes.length, this.#now())
    if (restMs !== undefined) this.#deps.flooded(restMs)
    const message = restMs === undefined ? readMessage(bytes) : undefined
    if (message === undefined) this.#deps.dropped(restMs === undefined ? 'malformed' : 'flood')
    return message
  }

  /** Another host says that it has a name. */
  #claimed(record: ResourceRecord, from: Sender): void {
    const entry = this.#entries.get(record.name.toLowerCase())
    if (entry === undefined || !('ttl' in record) || this.#isOurs(record)) return
    const now = this.#now()
    if (record.ttl === 0) freed(entry, this.#pace.waitMs(now), now)
    else if (entry.phase === 'probing') this.#lose(entry, from)
    // RFC 6762 9: only a record of the same type is a conflict once the name is ours. The host that has it answers.
    else if (entry.phase === 'published' && record.type === 'A') probeFrom(entry, now + this.#conflict(now))
  }

  /** @returns how long the next probe waits */
  #conflict(now: Millis): Millis {
    this.#pace.conflict(now)
    return this.#pace.waitMs(now)
  }

  /** Of this host on any link, also what another program of it says. */
  #isOurs(record: ResourceRecord): boolean {
    // NSEC says which types there are, and comes with a record that is judged itself.
    return record.type === 'NSEC' || (record.type === 'A' && this.#deps.isOwn(record.data))
  }

  #lose(entry: Entry, { address }: Sender): void {
    this.#pace.conflict(this.#now())
    taken(entry, address, this.#now())
    this.#deps.taken(entry.name, address)
  }

  /** Another host probes for names that this one probes for, too. */
  #probed({ authorities }: Message, from: Sender): void {
    for (const name of new Set(authorities.map((r) => r.name.toLowerCase()))) {
      const entry = this.#entries.get(name)
      if (entry?.phase !== 'probing') continue
      const theirs = authorities.filter((r) => r.name.toLowerCase() === name && !this.#isOurs(r))
      if (tiebreak(entry.address, theirs) !== 'lost') continue
      const now = this.#now()
      if (tieLost(entry, this.#conflict(now), now)) this.#lose(entry, from)
    }
  }

  #published({ name }: Question): Entry | undefined {
    const entry = this.#entries.get(name.toLowerCase())
    return entry?.phase === 'published' ? entry : undefined
  }

  /**
   * Answered to all. RFC 6762 5.4 allows it also where the question asks for a unicast answer, of which one program on
   * the asking host would hear.
   */
  #asked({ answers, authorities, isTruncated, questions }: Message, from: Sender): void {
    const now = this.#now()
    this.#listed(answers, from)
    const listing = isTruncated ? from.address : undefined
    for (const question of questions) {
      const entry = this.#published(question)
      const wantsAddress = isAddressWanted(question)
      if (entry === undefined || isKnown(entry, wantsAddress, answers)) continue
      const isProbe = authorities.some((r) => r.name.toLowerCase() === entry.name)
      ask(entry, { wantsAddress, isProbe, listing }, this.#deps.random(), now)
    }
  }

  /** The rest of what an asking host knows. Further messages of the kind do not put the answer off again. */
  #listed(answers: readonly ResourceRecord[], { address }: Sender): void {
    for (const record of answers) {
      const entry = this.#entries.get(record.name.toLowerCase())
      if (entry?.asked?.listing === address) answerKnown(entry, [record])
    }
  }

  /** RFC 6762 6.7: a resolver that knows nothing of mDNS asks from a port of its own and hears no multicast. */
  #answerLegacy({ id, questions }: Message, from: Sender): void {
    const ours = questions.filter((question) => this.#published(question) !== undefined)
    const asked = ours.slice(0, LEGACY_QUESTIONS)
    if (asked.length === 0) return
    const isStranger = !this.#deps.isOnLink(from.address)
    if (isStranger || !this.#legacy.takes(from.address, this.#now())) {
      this.#deps.dropped(isStranger ? 'stranger' : 'flood')
      return
    }
    const { address } = this.#deps
    const answers = asked.filter(isAddressWanted).map(({ name }) => legacyRecord({ name, address }))
    this.#deps.reply(encodeLegacyResponse(id, { questions: asked, answers }), from)
  }

  #send(messages: readonly Buffer[]): void {
    for (const message of messages) {
      this.#echoes.sent(message)
      this.#deps.send(message)
    }
  }

  /** One timer, for what is due first. */
  #arm(): void {
    let at = Infinity
    for (const { asked, dueAt } of this.#entries.values()) at = Math.min(at, dueAt, asked?.at ?? Infinity)
    if (this.#timer?.at === at) return
    this.#timer?.cancel()
    this.#timer = undefined
    if (at === Infinity) return
    const cancel = this.#deps.scheduler.after(Math.max(0, at - this.#now()), () => {
      this.#timer = undefined
      this.#tick()
    })
    this.#timer = { at, cancel }
  }

  #tick(): void {
    const now = this.#now()
    const due = [...this.#entries.values()].filter(
      ({ asked, dueAt }) => dueAt <= now || (asked !== undefined && asked.at <= now),
    )
    const probes = due.filter((entry) => entry.dueAt <= now && isProbeNext(entry))
    const rest = due.filter((entry) => !probes.includes(entry))
    for (const entry of probes) probeSent(entry, now)
    this.#send(encodeQueries(probes.map(probeOf)))
    this.#tell(
      rest.filter((entry) => !probeAfterFlood(entry, this.#budget.floodedUntil, now)),
      now,
    )
    this.#arm()
  }

  /** Announcements, and answers. */
  #tell(entries: readonly Entry[], now: Millis): void {
    const pieces = entries.map((entry) => {
      const isAnnouncement = entry.dueAt <= now
      const { address = true, others = false } = entry.asked ?? {}
      if (isAnnouncement) announcementSent(entry, now)
      entry.asked = undefined
      entry.toldAt = now
      const nothingElse = onlyAddressRecord(entry)
      const hasAddress = address || isAnnouncement
      // Both in each, as resolvers ask for A and AAAA in datagrams of their own, and the second answer would wait 1 s.
      return {
        answers: [...(hasAddress ? [addressRecord(entry)] : []), ...(others ? [nothingElse] : [])],
        additionals: [...(hasAddress ? [] : [addressRecord(entry)]), ...(others ? [] : [nothingElse])],
      }
    })
    this.#send(encodeResponses(pieces))
  }
}

const isAddressWanted = ({ type }: Question): boolean => type === 'A' || type === 'ANY'

const probeOf = (entry: Entry) => ({
  questions: [{ name: entry.name, type: 'ANY' }],
  authorities: [probedRecord(entry)],
})
