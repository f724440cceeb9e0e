/** `flatnet doctor`: examines the machine for what goes wrong for real people, and says what to do about it. */
import { nftTemplate } from '../../conf/templates.ts'
import { formatPrefix } from '../../core/addr.ts'
import { hasCode } from '../../kernel/durable.ts'
import { version } from '../version.ts'
import { command } from './command.ts'
import { gatherAttached } from './doctor/attached.ts'
import { judgeAttached } from './doctor/attached-judge.ts'
import { type Check, warn } from './doctor/check.ts'
import { gatherCluster, judgeCluster } from './doctor/cluster.ts'
import { findPlugin, judgeConflist } from './doctor/conflist.ts'
import { gatherFirewall, judgeFirewall } from './doctor/firewall.ts'
import { gatherGateway, judgeGateway } from './doctor/gateway.ts'
import { gatherHolders, judgeHolders } from './doctor/holders.ts'
import { gatherLeases, judgeLeases } from './doctor/leases.ts'
import { gatherPeers, judgePeers } from './doctor/peers.ts'
import { gatherPodman, judgePodman } from './doctor/podman.ts'
import { gatherRoutes, judgeRoutes, OUR_DEVICES } from './doctor/routes.ts'
import { gatherSystem, judgeSystem } from './doctor/system.ts'
import type { Host } from './host.ts'
import { removedConflists } from './install/manifest.ts'
import { type Io, printJson, printLine, wrap } from './output.ts'
import { findPlaces, type PlaceOptions, type Places, placeOptions } from './places.ts'
import { cniPluginDirs } from './podman-conf.ts'

/** Without root they may be closed; all else can be said all the same. */
async function ofLeases(host: Host, places: Places): Promise<Check[]> {
  try {
    return [
      ...judgeLeases(await gatherLeases(host, places)),
      ...judgeAttached(await gatherAttached(host, places, nftTemplate())),
      ...judgeHolders(await gatherHolders(host, places)),
    ]
  } catch (err) {
    if (!hasCode(err, 'EACCES')) throw err
    return [
      warn(
        'leases',
        'the leases may be read by root alone',
        'nothing can be said about leases',
        'run this as root',
      ),
    ]
  }
}

export async function examine(
  host: Host,
  options: PlaceOptions & { cniBinDir?: string | undefined },
): Promise<Check[]> {
  const places = findPlaces(host, options)
  const { networks, broken } = places
  const bridges = [...new Set(networks.flatMap((n) => (n.conf.role === 'plugin' ? [n.conf.bridge] : [])))]
  const supernets = [...new Set(networks.map((n) => formatPrefix(n.conf.ipam.supernet)))]
  const pluginDirs = options.cniBinDir === undefined ? cniPluginDirs(host) : [options.cniBinDir]
  const conflists = {
    cniConfDir: options.cniConfDir,
    networks,
    broken,
    removed: removedConflists(host, options.config),
    pluginDirs,
    plugin: findPlugin(host, pluginDirs),
    version: version(),
  }
  return [
    ...judgeSystem(gatherSystem(host, [...bridges, ...OUR_DEVICES])),
    ...judgePodman(
      gatherPodman(
        host,
        networks.map((n) => n.name),
      ),
    ),
    ...judgeConflist(conflists),
    ...judgeFirewall(gatherFirewall(host, { supernets, bridges }, nftTemplate())),
    ...judgeRoutes(gatherRoutes(host, networks)),
    ...(await ofLeases(host, places)),
    ...judgeGateway(await gatherGateway(host, places, version())),
    ...judgeCluster(await gatherCluster(host, places)),
    ...judgePeers(await gatherPeers(host, places)),
  ]
}

const MARK = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' } as const

export function printChecks(io: Io, checks: readonly Check[]): void {
  for (const { state, what, why, fix } of checks) {
    printLine(io, wrap(what, '      ').replace(/^ {6}/, `${MARK[state]}  `))
    if (why !== undefined) printLine(io, wrap(`why: ${why}`, '        '))
    // A command that is broken over two lines cannot be copied.
    if (fix !== undefined) printLine(io, `        fix: ${fix}`)
  }
  const count = (state: Check['state']): number => checks.filter((c) => c.state === state).length
  printLine(io, `${count('ok')} ok, ${count('warn')} warnings, ${count('fail')} failures`)
}

export const doctorCommand = command({
  options: {
    ...placeOptions,
    'cni-bin-dir': {
      type: 'string',
      requiresArg: true,
      describe: "Where the plugin is; default: Podman's directories",
    },
    json: { type: 'boolean', default: false, describe: 'One JSON list of checks' },
  },
  async run(args, { io, host }) {
    const checks = await examine(host, args)
    if (args.json) printJson(io, checks)
    else printChecks(io, checks)
    return checks.some((c) => c.state === 'fail') ? 1 : 0
  },
})
