/**
 * A network of its own for the process of a test whose gateways run in it: their device and routes would be the
 * machine's.
 */
import { CLONE_NEWNET, unshare } from 'netlink-ts/libc.ts'
import { needsRoot, run } from './netns.ts'

/**
 * To be called before the first socket is made. Who is not root has no device either, so the two are alike: something
 * else bears its name, and the gateways reach each other by their web pages alone.
 */
export function enterPrivateNet(): void {
  if (needsRoot !== false) return
  unshare(CLONE_NEWNET)
  run('ip', ['link', 'set', 'lo', 'up'])
  run('ip', ['link', 'add', 'flatnet-gw', 'type', 'bridge'])
}
