/** STATUS: could ADD succeed now? Code 50 when not, 51 when running containers suffer as well (CNI SPEC "STATUS"). */

import { accessSync, constants, mkdirSync } from 'node:fs'
import { linkByName } from 'netlink-ts/route/link.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { systemClock } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import { counts } from '../ipam/inventory.ts'
import type { Slice } from '../ipam/slice.ts'
import { nftPath } from '../kernel/nft.ts'
import { rulesState } from '../kernel/rules.ts'
import { refuseForeignRoutes } from './bridge.ts'
import type { Context } from './context.ts'
import { rulesOf } from './ruleset.ts'
import { liveFacts, storeOf } from './state.ts'

export function status(context: Context): void {
  const { conf, slice } = context
  if (slice === undefined) throw new FlatnetError('ERR_FLATNET_INTERNAL', 'STATUS ran without a slice')
  writable(conf.dataDir)
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  if (conf.role === 'plugin') {
    checkBridge(host, conf.bridge, slice)
    checkRules(context)
  }
  const store = storeOf(context, conf.role === 'plugin' ? host : undefined)
  const { free, resting, stale, total, used } = counts(store, slice, liveFacts(store, host), systemClock)
  if (free + resting + stale > 0) return
  throw new FlatnetError('ERR_FLATNET_NOT_READY', `all ${total} addresses of this host's slice are in use`, {
    details: `used ${used}, resting ${resting}, stale ${stale}; stop containers or give hosts larger slices (ipam.hostPrefix)`,
  })
}

function writable(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true })
    accessSync(dataDir, constants.W_OK)
  } catch (cause) {
    throw new FlatnetError('ERR_FLATNET_NOT_READY', `dataDir ${dataDir} cannot be written`, { cause })
  }
}

/** Absent is fine, ADD makes it; down means that those attached to it are cut off now. */
function checkBridge(host: NetlinkSocket, name: string, slice: Slice): void {
  const link = linkByName(host, name)
  if (link === undefined) {
    checkRoutes(host, name, slice)
    return
  }
  if (link.kind !== 'bridge') {
    throw new FlatnetError('ERR_FLATNET_NOT_READY', `an interface named ${name} exists and is no bridge`)
  }
  if (!link.isUp)
    throw new FlatnetError('ERR_FLATNET_LIMITED', `bridge ${name} is down; "ip link set ${name} up"`)
}

function checkRoutes(host: NetlinkSocket, bridge: string, slice: Slice): void {
  try {
    refuseForeignRoutes(host, { bridge, bridgeIp: slice.bridge, prefixLen: slice.prefix.prefixLen })
  } catch (err) {
    if (!(err instanceof FlatnetError)) throw err
    throw new FlatnetError('ERR_FLATNET_NOT_READY', err.message)
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
