/**
 * DEL: always finishes. Needs no prevResult, no namespace and no configuration that is still right
 * (docs/architecture/cni.md#d1 to #d7).
 */

import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { systemClock } from '../core/clock.ts'
import { mark } from '../core/trace.ts'
import { release } from '../ipam/ipam.ts'
import type { Context } from './context.ts'
import { storeOf } from './lease-store.ts'
import { refuseOwn } from './netns.ts'
import { teardown, throwAll, withdrawQuietly } from './teardown.ts'

/** @throws {FlatnetError} after everything was tried, when something is left that a later DEL could take away */
export async function del(context: Context): Promise<void> {
  ignoreSignals()
  const { attachment, conf, env, log } = context
  if (conf.role === 'ipam') {
    release(storeOf(context, undefined), attachment, systemClock)
    return
  }
  mark('load DEL')
  await withdrawQuietly(conf.registrar, attachment, log)
  mark('registration')
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  mark('netlink socket')
  const errors = teardown(host, storeOf(context, host), attachment)
  throwAll(errors, log)
  log.info({}, 'attachment deleted')
  // As the reference skeleton: the complaint comes last, what the key names is gone by then.
  if (env.netns !== '') refuseOwn(env.netns)
}

/** Podman's cleanup process is killed with its unit (netavark #1223): a half-done DEL is never repeated by Podman. */
function ignoreSignals(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
}
