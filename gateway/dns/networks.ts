/** The networks of this host whose containers ask for names: those with a bridge of ours. */

import { parsePrefix4 } from '../../core/addr.ts'
import { listRecords } from '../../ipam/networks.ts'
import type { NamedNetwork } from './name-servers.ts'

export const namedNetworks = (dataDir: string): NamedNetwork[] =>
  listRecords(dataDir).flatMap(({ network, bridge, slice, nameservers }) => {
    const prefix = parsePrefix4(slice)
    return bridge === undefined || prefix === undefined
      ? []
      : [{ network, bridge, slice: prefix, nameservers }]
  })
