/** Which addresses of the own table changed last, so that a peer that missed some is sent only those. */

import type { Ipv4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'

/** What became of a table after some seq: the state now of every address that changed. */
export interface Changes {
  readonly put: readonly Assignment[]
  /** Free again. */
  readonly del: readonly Ipv4[]
}

/** A peer that missed more gets the whole table. */
const REMEMBERED = 4096

export class ChangeLog {
  readonly #ips: (readonly Ipv4[])[] = []

  /** One change, which raised seq by one. */
  note(ips: readonly Ipv4[]): void {
    this.#ips.push(ips)
    if (this.#ips.length > REMEMBERED) this.#ips.shift()
  }

  /** @param missing number of last changes. @returns undefined when they are not all remembered */
  last(missing: number, holder: (ip: Ipv4) => Assignment | undefined): Changes | undefined {
    if (missing < 0 || missing > this.#ips.length) return undefined
    const put = new Set<Assignment>()
    const del: Ipv4[] = []
    for (const ip of new Set(this.#ips.slice(this.#ips.length - missing).flat())) {
      const assignment = holder(ip)
      if (assignment === undefined) del.push(ip)
      else put.add(assignment)
    }
    return { put: [...put], del }
  }
}
