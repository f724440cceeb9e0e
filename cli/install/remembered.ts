/** What flatnet.yaml says of a network whose own file is gone or broken, and which network it is for. */

import { parseDaemonConf } from '../../conf/daemon.ts'
import { formatPrefix } from '../../core/addr.ts'
import type { Host } from '../host/host.ts'
import { findNetworks } from '../host/networks.ts'
import type { InstallOptions } from './file-plan.ts'

/** For a network's file that is gone or broken: this host's slice must not become another's, least of all host 1's. */
export function remembered(host: Host, o: InstallOptions): InstallOptions {
  const text = host.read(o.config)
  if (text === undefined || ownerOf(host, o, text) !== undefined) return o
  try {
    const { hostId, supernet, hostPrefix, dataDir, api } = parseDaemonConf(text)
    const known = { hostId, supernet: formatPrefix(supernet), hostPrefix, dataDir, socket: api.socket }
    const asked = Object.entries(o).filter(([, value]) => value !== undefined)
    return { ...o, ...known, ...Object.fromEntries(asked) }
  } catch {
    // What is wrong with it is told when it is planned.
    return o
  }
}

/** The other network that flatnet.yaml is for: a gateway has one slice, and this one is taken. */
export function ownerOf(host: Host, o: InstallOptions, present: string): string | undefined {
  try {
    const { slice } = parseDaemonConf(present)
    const others = findNetworks(host, o.cniConfDir, o.networkFileDir).networks.filter(
      (n) => n.name !== o.network,
    )
    return others.find((n) => n.slice && formatPrefix(n.slice.prefix) === formatPrefix(slice))?.name
  } catch {
    return undefined
  }
}
