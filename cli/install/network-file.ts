/** The network file that install writes for Podman 5: a conflist's entry in the words of netavark. */

import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { readLeniently } from '../../conf/netconf.ts'
import { entryOf, optionsOf } from '../../conf/network-options.ts'
import { formatIpv4, formatPrefix } from '../../core/addr.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { sliceOf } from '../../ipam/choose/slice.ts'
import type { Host } from '../host/host.ts'
import type { Conflist } from './conflist.ts'
import { objectIn } from './conflist-place.ts'
import { type Manifest, stateOf } from './manifest.ts'

interface Place {
  readonly networkFileDir: string
  readonly network: string
}

/** Podman goes by the name of the file. */
export const networkFilePath = ({ networkFileDir, network }: Place): string =>
  join(networkFileDir, `${network}.json`)

export interface PresentNetworkFile {
  readonly path: string
  readonly text: string | undefined
  readonly network: JsonObject | undefined
  /** The plugin's driver is another, so it is another's network. */
  readonly foreignDriver: string | undefined
  /** Not as install wrote it: by hand, or by `podman network update`. */
  readonly isChanged: boolean
}

export function presentNetworkFile(
  host: Host,
  manifest: Manifest | undefined,
  place: Place,
): PresentNetworkFile {
  const path = networkFilePath(place)
  const text = host.read(path)
  const network = objectIn(text)
  const driver = network?.['driver']
  return {
    path,
    text,
    network,
    foreignDriver: typeof driver === 'string' && driver !== 'flatnet' ? driver : undefined,
    isChanged: text !== undefined && stateOf(host, manifest, path) !== 'ours',
  }
}

/** As a conflist, in whose terms install plans. */
export const asConflist = (network: JsonObject): JsonObject => ({ plugins: [entryOf(network)] })

/** Podman asks for 64 hex digits; the same for each install of this name. */
const idOf = (name: string): string => createHash('sha256').update(`flatnet ${name}`).digest('hex')

/**
 * @param present what Podman or a person added stays: id, labels, DNS servers of `podman network update`
 * @param created for a new one, ISO 8601
 */
export function desiredNetworkFile(
  present: JsonObject | undefined,
  { name, cniVersion, plugins }: Conflist & { readonly name?: string },
  created: string,
): JsonObject {
  const entry = plugins.find((p) => p['type'] === 'flatnet') ?? {}
  const { conf } = readLeniently({ ...entry, name }, cniVersion)
  const sliced = sliceOf(conf.ipam)
  const ipamOptions = isObject(present?.['ipam_options']) ? present['ipam_options'] : {}
  return {
    name,
    id: idOf(name ?? ''),
    created,
    ...present,
    driver: 'flatnet',
    network_interface: conf.bridge,
    // For people who look with `podman network inspect`; what counts is in the options.
    subnets: sliced.ok
      ? [{ subnet: formatPrefix(sliced.slice.prefix), gateway: formatIpv4(sliced.slice.bridge) }]
      : [],
    ipv6_enabled: false,
    internal: false,
    dns_enabled: false,
    // With another driver Podman would choose the addresses itself, without looking at the leases.
    ipam_options: { ...ipamOptions, driver: 'flatnet' },
    options: optionsOf(entry),
  }
}
