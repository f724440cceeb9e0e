/** The program nft: used once per host, to load the ruleset; elements go by netlink. */

import { existsSync } from 'node:fs'
import type { Millis } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'

/** Where distributions put it. A runtime may start plugins with an empty PATH. */
const PLACES = ['/usr/sbin/nft', '/sbin/nft', '/usr/bin/nft', '/usr/local/sbin/nft']
/** Loading takes about 20 ms, so a hundred times that is a failure. */
const TIMEOUT_MS = 5_000

export const nftPath = (): string | undefined => PLACES.find((path) => existsSync(path))

/**
 * Runs a ruleset through `nft -f -`, as one transaction.
 * @throws {FlatnetError} ERR_FLATNET_NFTABLES with what nft printed
 */
export function nftLoad(text: string, timeoutMs: Millis = TIMEOUT_MS): void {
  const path = nftPath()
  if (path === undefined) {
    throw new FlatnetError('ERR_FLATNET_NFTABLES', 'the program nft is missing; install the package nftables')
  }
  // Loaded here, once per boot, and not with every container: 2.3 ms on Node.
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const done = spawnSync(path, ['-f', '-'], { input: text, encoding: 'utf8', timeout: timeoutMs })
  if (done.status === 0) return
  throw new FlatnetError('ERR_FLATNET_NFTABLES', 'nft refused the ruleset', {
    details: (done.error?.message ?? done.stderr).trim().slice(0, 2_000),
  })
}
