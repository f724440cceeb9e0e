/** `flatnet leave`: takes this host out of its cluster; containers and slice stay as they are. */

import type { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import { ClusterState } from '../../gateway/cluster/members/state.ts'
import { demandRoot, filesOf, printStart } from '../cluster/entering.ts'
import { command } from '../command.ts'
import { reloadGateway } from '../gateway/reload.ts'
import { apiPost, GatewayDownError, RefusedError } from '../host/client.ts'
import { demandNamed, findPlaces, type Places, placeOptions } from '../host/places.ts'
import { CliError, type Io, printLine } from '../ui/output.ts'
import { withProgress } from '../ui/progress.ts'

interface Leaving {
  /** `host 3 of k3v9q2`. */
  readonly name: string
  /** Its number; `N` when it is not known. */
  readonly number: string
  /** It has the key by which hosts are admitted. */
  readonly admits: boolean
  /** No other host is in the cluster. */
  readonly isAlone: boolean
}

/** Files that cannot be read are no reason to stay. */
function leaving(files: ClusterFiles): Leaving {
  const admits = files.read('caKeyPem') !== undefined
  try {
    const { identity, document } = new ClusterState(files)
    const others = document.members.filter((m) => m.state === 'active' && m.hostId !== identity.hostId)
    const name = `host ${identity.hostId} of ${identity.cluster}`
    return { name, number: String(identity.hostId), admits, isAlone: others.length === 0 }
  } catch {
    return { name: 'this host', number: 'N', admits, isAlone: false }
  }
}

/** @returns whether the others know */
async function sayGoodbye(places: Places, isForced: boolean, io: Io): Promise<boolean> {
  try {
    const said = apiPost(places, '/v1/cluster/leave', {})
    await withProgress(io, 'the gateway is telling the host that admits', said)
    return true
  } catch (err) {
    if (!(err instanceof GatewayDownError || err instanceof RefusedError)) throw err
    if (isForced) return false
    if (err instanceof RefusedError)
      throw new RefusedError(err.code, `the cluster was not told: ${err.message}`)
    throw new CliError(
      `the cluster was not told: ${err.message}`,
      `${err.next}; or without telling it: flatnet leave --force`,
    )
  }
}

/** Not the last line: files stay behind. */
function printRest(io: Io, { admits, isAlone, number }: Leaving, isKnown: boolean, kept: string): void {
  if (admits && !isAlone) {
    printLine(io, `The others go on, but without ${kept}/ca.key no host can be admitted, revoked or renewed.`)
    printLine(
      io,
      'To let one of them admit: put that file into <dataDir>/cluster there, and restart its gateway;',
    )
    printLine(io, `then, there: flatnet revoke ${number}`)
    return
  }
  if (!isKnown) printLine(io, `The cluster was not told; on the host that admits: flatnet revoke ${number}`)
  printLine(io, `Key and certificates: ${kept}, useful only for restoring a backup`)
}

export const leaveCommand = command({
  options: {
    ...placeOptions,
    force: {
      type: 'boolean',
      default: false,
      describe: 'Also when the other hosts cannot be told, or when this host is the one that admits others',
    },
  },
  examples: [
    ['', 'tells the other hosts, which refuse this one from then on'],
    ['--force', 'when the others cannot be told: this host was revoked, or its gateway does not run'],
  ],
  async run(args, { io, host }) {
    demandRoot(host)
    demandNamed(host, args.config)
    const places = findPlaces(host, args)
    const files = filesOf(places)
    if (!files.isComplete)
      throw new CliError(
        'this host is in no cluster',
        'nothing has to be done; flatnet init or join enters one',
      )
    const who = leaving(files)
    const isKnown = who.isAlone || (await sayGoodbye(places, args.force, io))
    const kept = files.setAside(new Date())
    const isRunning = await reloadGateway(io, places, (status) => status.cluster === null)
    printLine(
      io,
      `${who.name} has left. Its containers keep their addresses; other hosts do not reach them any more.`,
    )
    printRest(io, who, isKnown, kept)
    printStart(io, isRunning, args.config)
    return 0
  },
})
