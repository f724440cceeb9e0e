/** The addresses that hosts have inside Nebula, and the files that make a host part of it. Pure. */

import { join } from 'node:path'
import { formatIpv4, type Ipv4, type Prefix4, sizeOf } from '../../../core/addr.ts'

/** Of the Nebula that the gateway runs. A name of ours: it is announced to no host as a way to this one. */
export const NEBULA_IFNAME = 'flatnet-nebula'
/** Every host of the cluster has it in its certificate: Nebula's firewall lets in no other. */
export const NEBULA_GROUP = 'flatnet'

export const nebulaAddress = ({ base }: Prefix4, hostId: number): Ipv4 => base + hostId

/** `10.101.0.2/16` */
export const nebulaCidr = (network: Prefix4, hostId: number): string =>
  `${formatIpv4(nebulaAddress(network, hostId))}/${network.prefixLen}`

export const sliceOf = (supernet: Prefix4, hostPrefix: number, hostId: number): Prefix4 => ({
  base: supernet.base + hostId * sizeOf(hostPrefix),
  prefixLen: hostPrefix,
})

export interface NebulaFiles {
  readonly folder: string
  readonly caCrt: string
  readonly caKey: string
  readonly hostCrt: string
  readonly hostKey: string
  readonly hostPub: string
  /** What the gateway wrote for the Nebula that it runs. */
  readonly config: string
  /** Who runs: for the gateway after one that was killed. */
  readonly process: string
}

/** @param folder `nebula` in the data directory, or where files for another host are made */
export const nebulaFiles = (folder: string): NebulaFiles => ({
  folder,
  caCrt: join(folder, 'ca.crt'),
  caKey: join(folder, 'ca.key'),
  hostCrt: join(folder, 'host.crt'),
  hostKey: join(folder, 'host.key'),
  hostPub: join(folder, 'host.pub'),
  config: join(folder, 'config.yml'),
  process: join(folder, 'process.json'),
})

export const nebulaFolder = (dataDir: string): string => join(dataDir, 'nebula')
