/** Renders the configuration of Nebula for one host. Pure: conf and members in, YAML out. */

import { stringify } from 'yaml'
import type { NebulaConf } from '../../../conf/nebula.ts'
import { formatIpv4, formatPrefix, type Prefix4 } from '../../../core/addr.ts'
import { formatEndpoint } from '../../../core/endpoint.ts'
import { hostOf } from '../p2p/endpoints.ts'
import { NEBULA_GROUP, NEBULA_IFNAME, nebulaAddress, nebulaFiles, sliceOf } from './overlay.ts'
import { canSkipRoutes, type NebulaVersion, needsLocalCidr } from './version.ts'

export interface NebulaPlan {
  readonly hostId: number
  readonly supernet: Prefix4
  readonly hostPrefix: number
  readonly nebula: NebulaConf
  /** Where certificates and keys are. */
  readonly folder: string
  readonly version: NebulaVersion
  /** The other members, and where their gateways say that they are, `host:port`. */
  readonly peers: readonly { readonly hostId: number; readonly endpoints: readonly string[] }[]
}

/**
 * Of the routes that Nebula itself puts into the kernel: below the gateway path (200) and below what keeps packets off
 * it when that is gone (`BARRIER_METRIC`). Nebula needs to know whom a slice belongs to, and 1.6 knows no other way.
 */
const OWN_METRIC = 300

export function renderNebula(plan: NebulaPlan): string {
  const { folder, hostId, nebula } = plan
  const { caCrt, hostCrt, hostKey } = nebulaFiles(folder)
  const isLighthouse = nebula.lighthouses.has(nebulaAddress(nebula.network, hostId))
  const conf = {
    pki: { ca: caCrt, cert: hostCrt, key: hostKey },
    static_host_map: staticHosts(plan),
    lighthouse: {
      am_lighthouse: isLighthouse,
      interval: 60,
      hosts: isLighthouse ? [] : [...nebula.lighthouses.keys()].map(formatIpv4),
      ...allowLists(plan),
    },
    listen: { host: '[::]', port: nebula.port },
    punchy: { punch: true, respond: true },
    // A path is direct or it is none: packets that Nebula relays would stay there although direct works
    // (slackhq/nebula#705), and the gateway has its own relays.
    relay: { am_relay: false, use_relays: false },
    tun: {
      disabled: false,
      dev: nebula.device ?? NEBULA_IFNAME,
      drop_local_broadcast: true,
      drop_multicast: true,
      mtu: nebula.mtu,
      unsafe_routes: unsafeRoutes(plan),
    },
    // Which lighthouse answers, and whose certificate is refused, 1.6 says as information.
    logging: { level: 'info', format: 'text', disable_timestamp: true },
    firewall: { outbound: rules(plan, { host: 'any' }), inbound: rules(plan, { group: NEBULA_GROUP }) },
  }
  return `# Nebula for host ${hostId} of Flatnet, as flatnet nebula config prints it.\n${stringify(conf, { lineWidth: 0 })}`
}

const addressIn =
  ({ nebula: { network } }: NebulaPlan) =>
  (hostId: number): string =>
    formatIpv4(nebulaAddress(network, hostId))

/** Without lighthouses each host has to know all others: they are where their gateways are. */
function staticHosts(plan: NebulaPlan): Record<string, readonly string[]> {
  const { hostId, nebula, peers } = plan
  const address = addressIn(plan)
  if (nebula.lighthouses.size > 0) {
    const own = nebulaAddress(nebula.network, hostId)
    const others = [...nebula.lighthouses].filter(([ip]) => ip !== own)
    return Object.fromEntries(others.map(([ip, at]) => [formatIpv4(ip), at]))
  }
  const known = peers.map(({ hostId: id, endpoints }) => {
    const hosts = [...new Set(endpoints.flatMap((endpoint) => hostOf(endpoint) ?? []))]
    return [address(id), hosts.map((host) => formatEndpoint(host, nebula.port))] as const
  })
  return Object.fromEntries(known.filter(([, at]) => at.length > 0))
}

/** Nebula's own packets must not go through the network that it carries. */
function allowLists({ supernet }: NebulaPlan) {
  const notOurs = { [formatPrefix(supernet)]: false }
  return {
    local_allow_list: { interfaces: { 'flatnet.*': false, 'fn[0-9a-f]*': false }, ...notOurs },
    remote_allow_list: notOurs,
  }
}

function unsafeRoutes(plan: NebulaPlan) {
  const { hostPrefix, peers, supernet, version } = plan
  const address = addressIn(plan)
  return peers.map(({ hostId }) => ({
    route: formatPrefix(sliceOf(supernet, hostPrefix, hostId)),
    via: address(hostId),
    metric: OWN_METRIC,
    ...(canSkipRoutes(version) && { install: false }),
  }))
}

/**
 * What containers may reach is for nftables to say: Nebula judges a flow that moves to it in its midst as a new one.
 */
function rules({ hostId, hostPrefix, supernet, version }: NebulaPlan, who: Readonly<Record<string, string>>) {
  const any = { port: 'any', proto: 'any', ...who }
  if (!needsLocalCidr(version)) return [any]
  return [any, { ...any, local_cidr: formatPrefix(sliceOf(supernet, hostPrefix, hostId)) }]
}
