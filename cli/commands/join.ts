/**
 * `flatnet join`: brings this host into a cluster.
 *
 * After an interruption a rerun continues where the first run stopped.
 */

import { parseDaemonConf } from '../../conf/daemon.ts'
import { formatPrefix } from '../../core/addr.ts'
import type { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import { enterCluster } from '../../gateway/cluster/joining/create.ts'
import { fingerprintOfCa, JoinError } from '../../gateway/cluster/joining/joining.ts'
import { describeNet, type Token } from '../../gateway/cluster/joining/tokens.ts'
import { ClusterState } from '../../gateway/cluster/members/state.ts'
import {
  demandName,
  demandRoot,
  endpointsOf,
  enteringOptions,
  filesOf,
  printStart,
  refuseOverlap,
  removeOldBridges,
} from '../cluster/entering.ts'
import { readToken } from '../cluster/token-input.ts'
import { command } from '../command.ts'
import { reloadGateway } from '../gateway/reload.ts'
import { refuseMovingLive } from '../host/leases.ts'
import { findPlaces } from '../host/places.ts'
import { printBackend } from '../install/backend.ts'
import { text } from '../install/options.ts'
import { CliError, printLine } from '../ui/output.ts'
import { withProgress } from '../ui/progress.ts'
import { install, prepareInstall } from './install.ts'

/** What the operator can do about each refusal. */
const NEXT: Readonly<Record<string, string>> = {
  expired: 'make a new one on that host: flatnet token',
  spent: 'a token works once: make a new one on that host, flatnet token',
  unknown: 'make a new one on the host that admits: flatnet token',
  clock: 'then run the same line again; the token is not used up',
  unreachable:
    'is its gateway running, and does a firewall let TCP 7443 through? The same line can be run ' +
    "again; other addresses: flatnet init's --advertise",
  taken: 'make a token for another number: flatnet token',
  full: 'see the message',
  revoked: 'to come back as a new host: delete cluster/host.key in the data directory, and take a new token',
  busy: 'wait a minute, then run the same line again',
}

/** The identity of this host, when an earlier run got that far. */
function presentMember(files: ClusterFiles, token: Token): number | undefined {
  if (!files.isComplete) return undefined
  const { identity, removedWhy } = new ClusterState(files)
  const isSame = fingerprintOfCa(identity.caPem) === token.caFingerprint
  if (isSame && removedWhy === undefined) return identity.hostId
  throw new CliError(
    isSame
      ? `this host was host ${identity.hostId} of this cluster: ${removedWhy}`
      : `this host is in another cluster: it is host ${identity.hostId} of ${identity.cluster}`,
    'flatnet leave --force first, then the same line again',
  )
}

export const joinCommand = command({
  options: {
    ...enteringOptions,
    'token-file': text('A file that holds the token; - is standard input'),
  },
  positionals: {
    token: { type: 'string', describe: 'The token; without it, it is read from standard input' },
  },
  examples: [
    ['fnj_...', 'the line that flatnet token printed; others on this machine see it in ps'],
    ['', 'asks for the token, or takes it from a pipe: ssh HOST flatnet token | flatnet join'],
    ['--token-file token --configure-podman', "from a file; and switch this host's Podman to CNI"],
  ],
  async run(args, { io, host }) {
    const token = await readToken(args, io)
    demandRoot(host)
    demandName(args.name)
    const before = findPlaces(host, args)
    const files = filesOf(before, args.dataDir)
    const net = { supernet: formatPrefix(token.supernet), hostPrefix: token.hostPrefix }
    const installArgs = { ...args, ...net, listen: undefined, peersListen: args.listen, dryRun: false }
    let hostId = presentMember(files, token)
    if (hostId !== undefined) {
      printLine(
        io,
        `note      this host is host ${hostId} of this cluster already: no new number is asked for`,
      )
    } else {
      refuseOverlap(host, token.supernet, before)
      await refuseMovingLive(before, 'this host gets a slice of the cluster')
      // Every reason against the installation comes before the cluster assigns a number.
      const { plan } = prepareInstall(installArgs, host)
      const endpoints = endpointsOf(parseDaemonConf(plan.config.text))
      const entering = enter(files, token, args.name, endpoints)
      hostId = await withProgress(io, `asking host ${token.hostId} to be let in`, entering)
    }
    const numbered = { ...installArgs, hostId }
    const prepared = prepareInstall(numbered, host)
    const { plan } = prepared
    install(numbered, { io, host }, prepared)
    const { cluster } = new ClusterState(files).identity
    printLine(
      io,
      `\nThis is host ${hostId} of cluster ${cluster}; it hands out ${plan.slice} of ${describeNet(token)}.`,
    )
    const places = findPlaces(host, args)
    removeOldBridges(io, host, places)
    const isRunning = await reloadGateway(
      io,
      places,
      (s) => s.hostId === hostId && s.cluster?.name === cluster,
    )
    printBackend(io, host, args.containersDir)
    printStart(io, isRunning, args.config)
    printLine(io, 'See the hosts:        flatnet hosts')
    return 0
  },
})

async function enter(
  files: ClusterFiles,
  token: Token,
  name: string,
  endpoints: readonly string[],
): Promise<number> {
  try {
    const { hostId } = await enterCluster(files, token, { name, endpoints, now: Date.now() })
    return hostId
  } catch (err) {
    if (!(err instanceof JoinError)) throw err
    throw new CliError(
      err.message,
      NEXT[err.code] ?? 'the log of the gateway on that host may say more',
      err.cause === undefined ? {} : { cause: err.cause },
    )
  }
}
