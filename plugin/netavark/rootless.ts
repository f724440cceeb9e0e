/** Tells root's Podman from rootless ones, whose networks no other host could reach. */

import { readFileSync } from 'node:fs'
import { FlatnetError } from '../../core/errors.ts'

const IDENTITY = /^\s*0\s+0\s+4294967295\s*$/

/** @throws {FlatnetError} code 4 */
export function refuseRootless(uid = process.geteuid?.() ?? 0): void {
  if (uid === 0 && IDENTITY.test(readFileSync('/proc/self/uid_map', 'utf8'))) return
  throw new FlatnetError(
    'ERR_FLATNET_ENV',
    "flatnet networks need root's Podman: a rootless container has a network that other hosts cannot reach; run podman as root",
  )
}
