/** `flatnet doctor`: examines the machine for what goes wrong for real people, and says what to do about it. */
import { nftTemplate } from '../../conf/templates.ts'
import { formatPrefix } from '../../core/addr.ts'
import { hasCode } from '../../kernel/durable.ts'
import { command } from '../command.ts'
import { gatherAttached } from '../doctor/attached.ts'
import { judgeAttached } from '../doctor/attached-judge.ts'
import { type Check, warn } from '../doctor/check.ts'
import { gatherCluster, judgeCluster } from '../doctor/cluster.ts'
import { findPlugin, judgeConflist } from '../doctor/conflist.ts'
import { gatherFirewall, judgeFirewall } from '../doctor/firewall.ts'
import { gatherGateway, judgeGateway } from '../doctor/gateway.ts'
import { gatherHolders, judgeHolders } from '../doctor/kernel-addresses.ts'
import { gatherLeases, judgeLeases } from '../doctor/leases.ts'
import { gatherPeers, judgePeers } from '../doctor/peers.ts'
import { gatherPodman, judgePodman } from '../doctor/podman.ts'
import { gatherRoutes, judgeRoutes, OUR_DEVICES } from '../doctor/routes.ts'
import { gatherSystem, judgeSystem } from '../doctor/system.ts'
import type { Host } from '../host/host.ts'
import { demandNamed, findPlaces, type PlaceOptions, type Places, placeOptions } from '../host/places.ts'
import { cniPluginDirs } from '../host/podman-conf.ts'
import { removedConflists } from '../install/manifest.ts'
import { counted, type Io, printJson, printLine, widthOf, wrap } from '../ui/output.ts'
import { version } from '../version.ts'

/** Podman of another user is another Podman. */
const ofPodman = (host: Host, networks: Places['networks']): Check[] =>
  host.uid() === 0
    ? judgePodman(
        gatherPodman(
          host,
          networks.map((n) => n.name),
        ),
      )
    : [
        warn(
          'podman',
          "root's Podman can be asked by root alone",
          'nothing can be said about Podman',
          'run this as root',
        ),
      ]

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

/** One part after the other: programs that hang are waited for, and what was found before can be read meanwhile. */
export async function* examine(
  host: Host,
  options: PlaceOptions & { cniBinDir?: string | undefined },
): AsyncGenerator<readonly Check[]> {
  demandNamed(host, options.config)
  const places = findPlaces(host, options)
  const { networks, broken } = places
  const bridges = [...new Set(networks.flatMap((n) => (n.conf.role === 'plugin' ? [n.conf.bridge] : [])))]
  const supernets = [...new Set(networks.map((n) => formatPrefix(n.conf.ipam.supernet)))]
  const pluginDirs = options.cniBinDir === undefined ? cniPluginDirs(host) : [options.cniBinDir]
  yield judgeSystem(gatherSystem(host, [...bridges, ...OUR_DEVICES]))
  yield ofPodman(host, networks)
  yield judgeConflist({
    cniConfDir: options.cniConfDir,
    networks,
    broken,
    removed: removedConflists(host, options.config),
    pluginDirs,
    plugin: findPlugin(host, pluginDirs),
    version: version(),
  })
  yield judgeFirewall(gatherFirewall(host, { supernets, bridges }, nftTemplate()))
  yield judgeRoutes(gatherRoutes(host, networks))
  yield await ofLeases(host, places)
  yield judgeGateway(await gatherGateway(host, places, version()))
  yield judgeCluster(await gatherCluster(host, places))
  yield judgePeers(await gatherPeers(host, places))
}

const MARK = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' } as const

function printCheck(io: Io, { state, what, why, fix }: Check): void {
  const width = widthOf(io)
  printLine(io, wrap(what, '      ', width).replace(/^ {6}/, `${MARK[state]}  `))
  if (why !== undefined) printLine(io, wrap(`why: ${why}`, '        ', width))
  // A command that is broken over two lines cannot be copied.
  if (fix !== undefined) printLine(io, `        fix: ${fix}`)
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
  examples: [
    ['', 'everything that is looked at, with a fix for what is wrong; exit code 1 with a FAIL'],
    ['--json', 'the same for scripts'],
  ],
  async run(args, { io, host }) {
    const checks: Check[] = []
    for await (const part of examine(host, args)) {
      checks.push(...part)
      if (!args.json) for (const check of part) printCheck(io, check)
    }
    const count = (state: Check['state']): number => checks.filter((c) => c.state === state).length
    const failures = count('fail')
    if (args.json) printJson(io, checks)
    else
      printLine(
        io,
        `${count('ok')} ok, ${counted(count('warn'), 'warning')}, ${counted(failures, 'failure')}`,
      )
    return failures > 0 ? 1 : 0
  },
})
