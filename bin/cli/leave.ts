/** `flatnet leave`: takes this host out of its cluster; its containers and its slice stay as they are. */
import type { ClusterFiles } from '../../gateway/cluster/files.ts'
import { ClusterState } from '../../gateway/cluster/state.ts'
import { apiPost, GatewayDownError, RefusedError } from './client.ts'
import { demandRoot, filesOf, reloadGateway, tellStart } from './cluster.ts'
import { command } from './command.ts'
import { CliError, type Io, printLine } from './output.ts'
import { findPlaces, placeOptions } from './places.ts'

/** `host 3 of k3v9q2`; files that cannot be read are no reason to stay. */
function nameOf(files: ClusterFiles): string {
  try {
    const { identity } = new ClusterState(files)
    return `host ${identity.hostId} of ${identity.cluster}`
  } catch {
    return 'this host'
  }
}

async function sayGoodbye(socket: string, isForced: boolean, io: Io): Promise<void> {
  try {
    await apiPost(socket, '/v1/cluster/leave', {})
  } catch (err) {
    if (!(err instanceof GatewayDownError || err instanceof RefusedError)) throw err
    if (!isForced) {
      throw new CliError(`the cluster was not told: ${err.message}`, err.next)
    }
    printLine(io, `note      the cluster was not told  (${err.message})`)
    printLine(io, 'note      on the host that admits: flatnet revoke with the number of this host')
  }
}

export const leaveCommand = command({
  options: {
    ...placeOptions,
    force: {
      type: 'boolean',
      default: false,
      describe: 'Also when the cluster cannot be told, or this host is the one that admits others',
    },
  },
  async run(args, { io, host }) {
    demandRoot(host)
    const places = findPlaces(host, args)
    const files = filesOf(places)
    if (!files.isComplete) throw new CliError('this host is in no cluster', 'flatnet hosts, on another one')
    const name = nameOf(files)
    await sayGoodbye(places.socket, args.force, io)
    const kept = files.setAside(new Date())
    const isRunning = await reloadGateway(places.socket, (status) => status.cluster === null)
    printLine(
      io,
      `${name} has left. Its containers keep their addresses; other hosts do not reach them any more.`,
    )
    printLine(io, `Key and certificates: ${kept}, of no use to anybody but who restores a backup`)
    tellStart(io, isRunning, args.config)
    return 0
  },
})
