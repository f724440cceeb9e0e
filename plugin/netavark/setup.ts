/** `setup`: ADD for netavark, which sends no teardown after a setup that failed, and none after a crash. */

import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { refuseProblems } from '../../conf/netconf.ts'
import { FlatnetError } from '../../core/errors.ts'
import type { JsonObject } from '../../core/json.ts'
import { find } from '../../ipam/ipam.ts'
import { type Attached, attached } from '../add.ts'
import { type Context, contextOf } from '../context.ts'
import { storeOf } from '../lease-store.ts'
import { print } from '../stdio.ts'
import { teardown } from '../teardown.ts'
import { setupAnswer } from './answer.ts'
import { attachmentInput, networkProblems, objectAt, upstreamsOf } from './input.ts'
import { withWaitLimits } from './wait-limits.ts'

/** @throws {FlatnetError} after everything was undone */
export async function setup(input: JsonObject, netns: string): Promise<void> {
  const { env, json } = attachmentInput('ADD', input, netns)
  const network = objectAt(input, 'network')
  refuseProblems([...networkProblems(network), ...ipamProblems(network)])
  const context = withWaitLimits(forNetavark(contextOf(env, json), network))
  const { result, after } = attachPastLeftovers(context)
  try {
    print(JSON.stringify(setupAnswer(result, env.ifname)))
  } catch (err) {
    removeLeftovers(context)
    throw err
  }
  await after()
}

/** What only netavark says or does: it writes no servers of the host behind ours, and names those to forward to. */
function forNetavark(context: Context, network: JsonObject): Context {
  const upstreams = upstreamsOf(network)
  if (upstreams.length === 0) return { ...context, dnsFallback: 'nothing' }
  return { ...context, dnsFallback: 'nothing', conf: { ...context.conf, upstreams } }
}

/** Podman chose the address itself, which cannot be told from one that a person asked for. */
function ipamProblems(network: JsonObject): string[] {
  const driver = objectAt({ ipam_options: network['ipam_options'] ?? {} }, 'ipam_options')['driver']
  if (driver === 'flatnet' || driver === 'none') return []
  const problem =
    `ipam_options.driver is ${JSON.stringify(driver ?? null)}: must be "flatnet", as Podman otherwise gives addresses out ` +
    'by itself; run "flatnet install" again, or make the network anew with "podman network create --driver flatnet"'
  return [problem]
}

/**
 * For Podman this attachment does not exist, or it would not ask: what stands of it in this very namespace is left over
 * from a teardown that did not finish. In another namespace ADD takes it over by itself.
 */
function attachPastLeftovers(context: Context): Attached {
  try {
    return attached(context)
  } catch (err) {
    if (!(err instanceof FlatnetError) || err.code !== 'ERR_FLATNET_ATTACHMENT_LIVE') throw err
    context.log.warn({ err }, 'attachment was left by a teardown and is made anew')
    const ip = removeLeftovers(context)
    return attached(ip === undefined ? context : requestingIp(context, ip))
  }
}

/** @returns the address that it had; what cannot be taken away is logged, and the next attempt says it */
function removeLeftovers(context: Context): string | undefined {
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  const store = storeOf(context, host)
  const lease = find(store, context.attachment)
  for (const err of teardown(host, store, context.attachment))
    context.log.error({ err }, 'deletion step failed')
  return lease?.ip
}

/** The same address again, unless the container asks for one. */
function requestingIp(context: Context, ip: string): Context {
  const { ips } = context.conf.runtimeConfig
  if (Array.isArray(ips) && ips.length > 0) return context
  return {
    ...context,
    conf: { ...context.conf, runtimeConfig: { ...context.conf.runtimeConfig, ips: [ip] } },
  }
}
