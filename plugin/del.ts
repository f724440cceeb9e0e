/**
 * DEL: always finishes. Needs no prevResult, no namespace and no configuration that is still right
 * (docs/architecture/cni.md#d1 to #d7).
 */

import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { Attachment } from '../core/attachment.ts'
import { systemClock } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { mark } from '../core/trace.ts'
import { release } from '../ipam/ipam.ts'
import { withdraw } from '../registrar/assignments.ts'
import type { Endpoint } from '../registrar/exchange.ts'
import type { Context } from './context.ts'
import { storeOf } from './lease-store.ts'
import { refuseOwn } from './netns.ts'
import { teardown } from './teardown.ts'

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

/**
 * The gateway sees the lease go when it reconciles; its absence is no reason to keep a container's network.
 * @returns whether it was told
 */
export async function withdrawQuietly(
  endpoint: Endpoint,
  attachment: Attachment,
  log: Log,
): Promise<boolean> {
  try {
    await withdraw(endpoint, attachment)
    return true
  } catch (err) {
    log.info({ err }, 'gateway not told of the deletion')
    return false
  }
}

/** One error with all of them in its details; its code is that of the first. */
export function throwAll(errors: readonly Error[], log: Log): void {
  const [first] = errors
  if (first === undefined) return
  for (const err of errors) log.error({ err }, 'deletion step failed')
  const details = errors
    .map((e) => `${e.message}: ${e.cause instanceof Error ? e.cause.message : e.cause}`)
    .join('; ')
  const code = first.cause instanceof FlatnetError ? first.cause.code : 'ERR_FLATNET_KERNEL'
  throw new FlatnetError(code, 'not everything could be taken away; delete again, or run "flatnet gc"', {
    details,
  })
}
