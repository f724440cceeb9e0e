/** The part of `flatnet netcheck` about TURN servers: whether each takes this host in, and how far it is. */
import type { DaemonConf } from '../../conf/daemon.ts'
import type { TurnConf } from '../../conf/turn.ts'
import { type TurnTrial, tryTurnServer } from '../../gateway/dataplane/nat/turn/try-server.ts'
import { mayBeHost } from '../../gateway/dataplane/p2p/endpoints.ts'
import { findTurnServer, toldOf } from '../../gateway/dataplane/p2p/turn-lookup.ts'
import { type Column, type Io, printLine, table, widthOf } from '../ui/output.ts'

const TURN: readonly Column<TurnTrial>[] = [
  { title: 'TURN SERVER', value: ({ server }) => server },
  { title: 'RTT', value: ({ rttMs }) => (rttMs === undefined ? '-' : `${rttMs.toFixed(1)} ms`) },
  { title: 'RELAYS FROM', value: ({ relayed }) => relayed ?? '-' },
  { title: 'PROBLEM', value: ({ problem }) => problem ?? '-' },
]

/** All at once: one that does not answer takes 5 s. */
export function tryTurn(conf: DaemonConf | undefined): Promise<TurnTrial[]> {
  if (conf === undefined) return Promise.resolve([])
  return Promise.all(conf.paths.turn.map((turn) => tryOne(turn, conf)))
}

async function tryOne(turn: TurnConf, { supernet }: DaemonConf): Promise<TurnTrial> {
  try {
    return await tryTurnServer(await findTurnServer(turn), (endpoint) => mayBeHost(endpoint, supernet))
  } catch (err) {
    return { server: turn.server, state: 'waiting', ...toldOf(err) }
  }
}

export function printTurn(io: Io, trials: readonly TurnTrial[]): void {
  if (trials.length > 0) printLine(io, `\n${table(TURN, trials, widthOf(io))}`)
}
