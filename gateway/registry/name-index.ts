/**
 * Which assignments answer to a name, over all hosts: made for tens of thousands of names.
 *
 * Nearly every name has one holder.
 */

import type { Assignment } from '../../core/api.ts'
import type { Clock } from '../../core/clock.ts'
import { NameClaims } from './name-claims.ts'

/** Lower case: names come back in the Host header, which browsers write in lower case. */
function namesOf(a: Assignment): readonly string[] {
  if (a.aliases.length === 0) return a.name === undefined ? [] : [a.name.toLowerCase()]
  return [...new Set([...(a.name === undefined ? [] : [a.name]), ...a.aliases].map((n) => n.toLowerCase()))]
}

const NO_HOSTS: ReadonlySet<number> = new Set()

export class NameIndex {
  /** A lone holder stands without a list around it: with 62,000 names that saves 6 MB. */
  readonly #holders = new Map<string, Assignment | Assignment[]>()
  readonly #clock: Clock
  readonly #claims: NameClaims

  constructor(clock: Clock) {
    this.#clock = clock
    this.#claims = new NameClaims(clock.monotonic())
  }

  add(assignment: Assignment): void {
    for (const name of namesOf(assignment)) {
      const known = this.#holders.get(name)
      this.#claim(name, assignment.hostId)
      if (known === undefined) this.#holders.set(name, assignment)
      else if (Array.isArray(known)) known.push(assignment)
      else this.#holders.set(name, [known, assignment])
    }
  }

  /** By identity; unknown is fine. */
  remove(assignment: Assignment): void {
    for (const name of namesOf(assignment)) {
      const known = this.get(name)
      const rest = known.filter((a) => a !== assignment)
      if (rest.length === known.length) continue
      const [first] = rest
      if (first === undefined) this.#holders.delete(name)
      else this.#holders.set(name, rest.length === 1 ? first : rest)
      const isGone = !rest.some((a) => a.hostId === assignment.hostId)
      if (isGone) this.#claims.gave(name, assignment.hostId, first === undefined, this.#clock.monotonic())
    }
  }

  /** Where a host stands for a name: 0 has held it first. @param name in any case */
  rankOf(name: string): (hostId: number) => number {
    return this.#claims.rankOf(name.toLowerCase(), this.#clock.monotonic())
  }

  /** Names that several hosts may have. */
  contested(): Iterable<string> {
    return this.#claims.contested()
  }

  #claim(name: string, hostId: number): void {
    const hosts = this.#holders.has(name) ? new Set(this.get(name).map((a) => a.hostId)) : NO_HOSTS
    if (!hosts.has(hostId)) this.#claims.took(name, hostId, [...hosts], this.#clock.monotonic())
  }

  /** In no order. @param name in any case */
  get(name: string): readonly Assignment[] {
    const known = this.#holders.get(name.toLowerCase())
    return known === undefined ? [] : Array.isArray(known) ? known : [known]
  }

  names(): Iterable<string> {
    return this.#holders.keys()
  }
}
