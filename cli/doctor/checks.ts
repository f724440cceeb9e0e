/** The checks of `flatnet doctor`, in the order of the report. */

import { check as attached } from './attached/attached.ts'
import type { HostCheck } from './check.ts'
import { check as cluster } from './cluster.ts'
import { check as conflist } from './conflist.ts'
import { check as conntrack } from './conntrack.ts'
import { check as direct } from './direct.ts'
import { check as drops } from './drops.ts'
import { check as firewall } from './firewall.ts'
import { check as gateway } from './gateway.ts'
import { check as https } from './https.ts'
import { check as ingressNames } from './ingress-names.ts'
import { check as kernelAddresses } from './kernel-addresses.ts'
import { check as leases } from './leases.ts'
import { check as localNames } from './local-names.ts'
import { check as names } from './names.ts'
import { check as nebula } from './nebula.ts'
import { check as networkFiles } from './network-files.ts'
import { check as p2pProcess } from './p2p-process.ts'
import { check as peers } from './peers.ts'
import { check as podman } from './podman.ts'
import { check as portMapping } from './port-mapping.ts'
import { check as routes } from './routes.ts'
import { check as system } from './system/system.ts'
import { check as turn } from './turn.ts'
import { check as udpMtu } from './udp-mtu.ts'
import { check as udpReach } from './udp-reach.ts'

export const CHECKS: readonly HostCheck[] = [
  system,
  podman,
  conflist,
  networkFiles,
  firewall,
  drops,
  routes,
  leases,
  attached,
  kernelAddresses,
  gateway,
  names,
  localNames,
  ingressNames,
  https,
  cluster,
  peers,
  p2pProcess,
  portMapping,
  nebula,
  turn,
  udpReach,
  direct,
  udpMtu,
  conntrack,
]
