/** Where this host keeps things: the command line's options, flatnet.yaml and the networks' files together. */

import { type DaemonConf, DEFAULT_DAEMON_CONF, parseDaemonConf } from '../../conf/daemon.ts'
import { DEFAULT_DATA_DIR, DEFAULT_ENDPOINT } from '../../conf/netconf.ts'
import { CliError } from '../ui/output.ts'
import type { Host } from './host.ts'
import { findNetworks, type Networks } from './networks.ts'
import { networkFileDir } from './podman-conf.ts'

export const DEFAULT_CNI_CONF_DIR = '/etc/cni/net.d'
const DEFAULT_SOCKET = DEFAULT_ENDPOINT.slice('unix://'.length)

export interface PlaceOptions {
  readonly config: string
  readonly cniConfDir: string
  /** Podman's configuration; default: where it is. */
  readonly containersDir?: string | undefined
}

export interface Places extends Networks {
  readonly config: string
  readonly cniConfDir: string
  /** Where Podman 5 has its networks. */
  readonly networkFileDir: string
  /** undefined when flatnet.yaml is absent, or `confError` says what is wrong with it. */
  readonly conf: DaemonConf | undefined
  readonly confError: Error | undefined
  readonly socket: string
  /** All that are in use, without repetition; the daemon's first. */
  readonly dataDirs: readonly string[]
}

/** The yargs option of every command that reads flatnet.yaml. */
export const configOption = {
  config: {
    type: 'string',
    default: DEFAULT_DAEMON_CONF,
    requiresArg: true,
    describe: "The gateway's configuration",
  },
} as const

/** The yargs options that say where things are; every command that looks at this host has them. */
export const placeOptions = {
  ...configOption,
  'cni-conf-dir': {
    type: 'string',
    default: DEFAULT_CNI_CONF_DIR,
    requiresArg: true,
    describe: 'Where the conflists are',
  },
} as const

function readConf(host: Host, path: string): Pick<Places, 'conf' | 'confError'> {
  const text = host.read(path)
  if (text === undefined) return { conf: undefined, confError: undefined }
  try {
    return { conf: parseDaemonConf(text), confError: undefined }
  } catch (err) {
    return { conf: undefined, confError: err instanceof Error ? err : new Error(String(err)) }
  }
}

/**
 * A named file that is absent is a typing error: with the defaults in its place the command would examine, or remove,
 * another gateway and other leases. Only the default file may be missing.
 * @throws {CliError}
 */
export function demandNamed(host: Host, config: string): void {
  if (config === DEFAULT_DAEMON_CONF || host.read(config) !== undefined) return
  throw new CliError(
    `--config is "${config}": there is no such file, or it may not be read`,
    `name the file that the gateway was started with, or leave --config out: then it is ${DEFAULT_DAEMON_CONF}`,
  )
}

/** Never throws for what is missing or wrong: the commands decide what they can do without. */
export function findPlaces(host: Host, { config, cniConfDir, containersDir }: PlaceOptions): Places {
  const networkDir = networkFileDir(host, containersDir)
  const found = findNetworks(host, cniConfDir, networkDir)
  const { conf, confError } = readConf(host, config)
  const dataDirs = [...(conf ? [conf.dataDir] : []), ...found.networks.map((n) => n.conf.dataDir)]
  return {
    ...found,
    config,
    cniConfDir,
    networkFileDir: networkDir,
    conf,
    confError,
    socket: conf?.api.socket ?? found.networks[0]?.conf.registrar.socketPath ?? DEFAULT_SOCKET,
    dataDirs: dataDirs.length > 0 ? [...new Set(dataDirs)] : [DEFAULT_DATA_DIR],
  }
}

/** For commands that call the gateway: an invalid flatnet.yaml would send them to the wrong socket. */
export function findGateway(host: Host, options: PlaceOptions): Places {
  demandNamed(host, options.config)
  const places = findPlaces(host, options)
  if (places.confError === undefined) return places
  const error = new CliError(`${places.config} is wrong`, 'correct it; docs/configuration.md lists all keys')
  const problems = 'problems' in places.confError ? places.confError.problems : [places.confError.message]
  throw Object.assign(error, { problems })
}
