/** Which host held a name first, for names that more than one host has: dates that a host claims decide nothing. */

import type { Millis } from '../../core/clock.ts'

interface Claim {
  readonly hostId: number
  /** 0: before the other claims, or while all tables still came in. */
  readonly since: Millis
  /** Its last container of that name ended then; undefined: one is there. */
  leftAt: Millis | undefined
}

/** After a start the tables of hosts come in any order: until then none was first. */
const START_MS: Millis = 10_000
/** A container that is made anew finds its name again. */
const KEPT_MS: Millis = 600_000
/** Names without any holder whose last host is remembered; the oldest are forgotten. */
const MAX_LEFT = 4_096

export class NameClaims {
  readonly #startedAt: Millis
  /** Only of names that two hosts had at a time: nearly every name has one. */
  readonly #contested = new Map<string, Claim[]>()
  readonly #left = new Map<string, Claim>()

  constructor(now: Millis) {
    this.#startedAt = now
  }

  /** @param others hosts that have the name, without this one */
  took(name: string, hostId: number, others: readonly number[], now: Millis): void {
    const known = this.#contested.get(name)
    const own = known?.find((c) => c.hostId === hostId)
    if (own !== undefined && isHeld(own, now)) {
      own.leftAt = undefined
      return
    }
    const left = this.#left.get(name)
    this.#left.delete(name)
    const before = others.map((id): Claim => ({ hostId: id, since: 0, leftAt: undefined }))
    if (left !== undefined && left.hostId !== hostId && isHeld(left, now)) before.push(left)
    const claims = known ?? before
    if (claims.length === 0) return
    const since = now - this.#startedAt < START_MS ? 0 : now
    this.#contested.set(name, [...claims.filter((c) => isHeld(c, now)), { hostId, since, leftAt: undefined }])
  }

  /** The host has no container of that name any more. @param isFree nor has any other host */
  gave(name: string, hostId: number, isFree: boolean, now: Millis): void {
    const claims = this.#contested.get(name)
    const own = claims?.find((c) => c.hostId === hostId)
    if (own !== undefined) own.leftAt = now
    if (!isFree) return
    this.#contested.delete(name)
    const [oldest] = this.#left.keys()
    if (this.#left.size >= MAX_LEFT && oldest !== undefined) this.#left.delete(oldest)
    const first = claims?.filter((c) => isHeld(c, now)).sort(byClaim)[0]
    this.#left.set(name, first ?? { hostId, since: 0, leftAt: now })
  }

  /** Names that two hosts had at a time; one of them may have none now. */
  contested(): Iterable<string> {
    return this.#contested.keys()
  }

  /** Where a host stands for a name, the first with the smallest number. */
  rankOf(name: string, now: Millis): (hostId: number) => number {
    const claims =
      this.#contested
        .get(name)
        ?.filter((c) => isHeld(c, now))
        .sort(byClaim) ?? []
    const ranks = new Map(claims.map(({ hostId }, i) => [hostId, i]))
    return (hostId) => ranks.get(hostId) ?? claims.length
  }
}

const isHeld = ({ leftAt }: Claim, now: Millis): boolean => leftAt === undefined || now - leftAt < KEPT_MS

const byClaim = (a: Claim, b: Claim): number => a.since - b.since || a.hostId - b.hostId
