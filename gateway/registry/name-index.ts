/**
 * Which assignments answer to a name, over all hosts: made for tens of thousands of names.
 *
 * Nearly every name has one holder.
 */

import type { Assignment } from '../../core/api.ts'

/** Lower case: names come back in the Host header, which browsers write in lower case. */
function namesOf(a: Assignment): readonly string[] {
  if (a.aliases.length === 0) return a.name === undefined ? [] : [a.name.toLowerCase()]
  return [...new Set([...(a.name === undefined ? [] : [a.name]), ...a.aliases].map((n) => n.toLowerCase()))]
}

export class NameIndex {
  /** A lone holder stands without a list around it: with 62,000 names that saves 6 MB. */
  readonly #holders = new Map<string, Assignment | Assignment[]>()

  add(assignment: Assignment): void {
    for (const name of namesOf(assignment)) {
      const known = this.#holders.get(name)
      if (known === undefined) this.#holders.set(name, assignment)
      else if (Array.isArray(known)) known.push(assignment)
      else this.#holders.set(name, [known, assignment])
    }
  }

  /** By identity; unknown is fine. */
  remove(assignment: Assignment): void {
    for (const name of namesOf(assignment)) {
      const known = this.#holders.get(name)
      if (known === assignment) this.#holders.delete(name)
      if (!Array.isArray(known)) continue
      const rest = known.filter((a) => a !== assignment)
      if (rest.length === 0) this.#holders.delete(name)
      else this.#holders.set(name, rest.length === 1 && rest[0] !== undefined ? rest[0] : rest)
    }
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
