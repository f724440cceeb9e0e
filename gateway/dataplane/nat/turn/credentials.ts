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
}

/** A clock may be wrong by hours, and servers look at the time only when an allocation begins. */
const VALID_S = 86_400
/**
 * Within an hour a login keeps its name: after a restart the server still has the allocation of this host's port, which
 * only the same name may end.
 */
const STEP_S = 3_600

/** @param wallNow ms since the epoch */
export function credentialsOf({ username, password, secret }: TurnLogin, wallNow: Millis): Credentials {
  if (secret === undefined) return { username, password: password ?? '' }
  const until = Math.ceil(wallNow / 1_000 / STEP_S) * STEP_S + VALID_S
  const name = username === '' ? `${until}` : `${until}:${username}`
  return { username: name, password: createHmac('sha1', secret).update(name).digest('base64') }
}

/** RFC 8489, 9.2.2: the key of MESSAGE-INTEGRITY. */
export function longTermKey(
  { username, password }: Credentials,
  realm: string,
  hash: 'md5' | 'sha256',
): Uint8Array {
  return createHash(hash).update(`${username}:${realm}:${password}`).digest()
}
