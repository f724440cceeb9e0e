/**
 * How long a verb of netavark may wait: Podman holds one lock for the whole host meanwhile and sets no limit itself, so
 * every other start and stop waits too.
 */

import { monotonic } from '../../core/clock.ts'
import type { Context } from '../context.ts'

/**
 * For all locks and the loading of rules together. With 1 s that nft gets at least, 2.5 s for the bridge port
 * (plugin/veth.ts) and the gateway's, a verb ends within 10 s; a person gives up after about that.
 */
const WAIT_MS = 5_000
/** The gateway needs some ms. A configuration may allow it 10 s, which CNI's runtimes put up with. */
const GATEWAY_MS = 1_000

/** @returns the context with these limits, counted from now */
export function withWaitLimits(context: Context): Context {
  const { registrar } = context.conf
  const timeoutMs = Math.min(registrar.timeoutMs, GATEWAY_MS)
  return {
    ...context,
    conf: { ...context.conf, registrar: { ...registrar, timeoutMs } },
    until: monotonic() + WAIT_MS,
  }
}
