/** Credentials for TURN servers: a name with a password, or a secret that makes them for a limited time. Pure. */

import { createHash, createHmac } from 'node:crypto'
import type { Millis } from '../../../../core/clock.ts'

/** What a person configured for one server. */
export interface TurnLogin {
  /** With `secret` it is added to the time, and may be empty. */
  readonly username: string
  readonly password?: string
  /** coturn's `static-auth-secret`, as the REST API of TURN has it (draft-uberti-behave-turn-rest-00). */
  readonly secret?: string
}

export interface Credentials {
  readonly username: string
  readonly password: string
  /** Ms since the epoch; undefined: they do not expire. */
  readonly until?: Millis
}

/** A clock may be wrong by hours, and most servers look at the time only when an allocation begins. */
export const LIFE_MS: Millis = 86_400_000
/**
 * Within an hour, a 24th of the life, a login keeps its name: after a restart the server still has the allocation of
 * this host's port, which only the same name may end.
 */
const STEPS = 24

/** @param wallNow ms since the epoch */
export function credentialsOf(
  { username, password, secret }: TurnLogin,
  wallNow: Millis,
  lifeMs = LIFE_MS,
): Credentials {
  if (secret === undefined) return { username, password: password ?? '' }
  const stepS = Math.ceil(lifeMs / 1_000 / STEPS)
  const untilS = Math.ceil(wallNow / 1_000 / stepS) * stepS + Math.floor(lifeMs / 1_000)
  const name = username === '' ? `${untilS}` : `${untilS}:${username}`
  const mac = createHmac('sha1', secret).update(name).digest('base64')
  return { username: name, password: mac, until: untilS * 1_000 }
}

/** Seconds since the epoch: a name that such a secret made begins with them, `1795972047:h1`. 10 digits until 2286. */
const TIMED_RE = /^(\d{10})(?::|$)/
/** 2020. A name of 10 digits that is less is no time: it may be a phone number. */
const FIRST_TIME_S = 1_577_836_800

/** @returns until when credentials that a person copied are for, ms since the epoch; undefined: they do not say */
export function endOf({ username, secret }: TurnLogin): Millis | undefined {
  const [, seconds] = (secret === undefined && TIMED_RE.exec(username)) || []
  return Number(seconds) >= FIRST_TIME_S ? Number(seconds) * 1_000 : undefined
}

/** RFC 8489, 9.2.2: the key of MESSAGE-INTEGRITY. */
export function longTermKey(
  { username, password }: Credentials,
  realm: string,
  hash: 'md5' | 'sha256',
): Uint8Array {
  return createHash(hash).update(`${username}:${realm}:${password}`).digest()
}
