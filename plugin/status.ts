/**
 * STATUS: could ADD succeed now?
 *
 * Code 50 when not, 51 when running containers suffer as well. @see CNI SPEC "STATUS"
 */

import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { linkByName } from 'netlink-ts/route/link.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { NetConf } from '../conf/netconf.ts'
import { systemClock } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import type { Slice } from '../ipam/choose/slice.ts'
import { counts } from '../ipam/inventory.ts'
import { refuseNetwork } from '../ipam/networks.ts'
import { nftPath } from '../kernel/nft.ts'
import { rulesState } from '../kernel/rules.ts'
import { refuseBridge, refuseForeignRoutes } from './bridge.ts'
import type { Context } from './context.ts'
import { liveFacts, storeOf } from './lease-store.ts'
import { recordOf, rulesOf } from './network-rules.ts'
import { bridgePlanOf } from './plan.ts'

export function status(context: Context): void {
  const { conf, slice } = context
  if (slice === undefined) throw new FlatnetError('ERR_FLATNET_INTERNAL', 'STATUS ran without a slice')
  writable(conf.dataDir)
  asStatus(() => refuseNetwork(conf.dataDir, recordOf(conf, slice)))
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  if (conf.role === 'plugin') {
    asStatus(() => checkBridge(host, conf, slice))
    checkRules(context)
  }
  const store = storeOf(context, conf.role === 'plugin' ? host : undefined)
  const { free, resting, stale, total, used } = counts(store, slice, liveFacts(store, host), systemClock)
  if (free + resting + stale > 0) return
  throw new FlatnetError('ERR_FLATNET_NOT_READY', `all ${total} addresses of this host's slice are in use`, {
    details:
      `used ${used}, resting ${resting}, stale ${stale}; ` +
      'stop containers or give hosts larger slices (ipam.hostPrefix)',
  })
}

/** Creates nothing: ADD makes missing folders, so the nearest existing one has to be writable. */
function writable(dataDir: string): void {
  let folder = dataDir
  while (!existsSync(folder)) folder = dirname(folder)
  try {
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is no folder`)
    accessSync(folder, constants.W_OK)
  } catch (cause) {
    throw new FlatnetError('ERR_FLATNET_NOT_READY', `dataDir ${dataDir} cannot be written`, { cause })
  }
}

/** Absent is fine, since ADD creates it; down means that the attached containers are cut off now. */
function checkBridge(host: NetlinkSocket, conf: NetConf, slice: Slice): void {
  const { bridge } = conf
  const plan = bridgePlanOf(conf, slice, conf.mtu)
  const link = linkByName(host, bridge)
  if (link !== undefined) refuseBridge(host, link, plan)
  refuseForeignRoutes(host, plan)
  if (link?.isUp === false) {
    throw new FlatnetError('ERR_FLATNET_LIMITED', `bridge ${bridge} is down; "ip link set ${bridge} up"`)
  }
}

/** A configuration that ADD would refuse makes STATUS fail. */
function asStatus(run: () => void): void {
  try {
    run()
  } catch (err) {
    if (!(err instanceof FlatnetError) || err.code === 'ERR_FLATNET_LIMITED') throw err
    throw new FlatnetError('ERR_FLATNET_NOT_READY', err.message, { cause: err.cause })
  }
}

function checkRules(context: Context): void {
  if (rulesState(rulesOf(context)) === 'ready') return
  if (nftPath() === undefined) {
    throw new FlatnetError(
      'ERR_FLATNET_NOT_READY',
      'the program nft is missing; install the package nftables',
    )
  }
}
