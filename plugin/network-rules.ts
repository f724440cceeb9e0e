/** From a configuration: the rules of its network, and the network's record on disk. */

import type { NetConf } from '../conf/netconf.ts'
import { formatPrefix } from '../core/addr.ts'
import { FlatnetError } from '../core/errors.ts'
import type { Slice } from '../ipam/choose/slice.ts'
import type { NetworkRecord } from '../ipam/networks.ts'
import type { NetworkRules } from '../kernel/rules.ts'
import type { Context } from './context.ts'

/** Only where a configuration is read strictly: without a slice there are no rules. */
export function rulesOf({ conf, slice, until }: Context): NetworkRules {
  if (slice === undefined)
    throw new FlatnetError('ERR_FLATNET_INTERNAL', 'rules were asked for without a slice')
  return {
    bridge: conf.bridge,
    supernet: slice.supernet,
    slice: slice.prefix,
    masquerade: conf.ipMasq,
    hostAccess: conf.hostAccess,
    lockPath: `${conf.dataDir}/rules.lock`,
    ...(until !== undefined && { until }),
  }
}

export const recordOf = (conf: NetConf, slice: Slice): NetworkRecord => ({
  network: conf.name,
  ...(conf.role === 'plugin' && { bridge: conf.bridge }),
  supernet: formatPrefix(slice.supernet),
  slice: formatPrefix(slice.prefix),
  masquerade: conf.role === 'plugin' && conf.ipMasq,
  ...(conf.role === 'plugin' && { hostAccess: conf.hostAccess, antiSpoof: conf.antiSpoof }),
  ...(conf.upstreams !== undefined && { nameservers: conf.upstreams }),
})
