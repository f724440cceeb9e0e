/** Runs the process of direct paths until a stop: turns of its own loop, with Node's between them. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Log } from '../../../../core/log.ts'
import { dropExecutablePages } from '../../../../kernel/resident.ts'
import { LINGER_AT_MOST_MS } from './linger.ts'
import { turn } from './loop.ts'
import { type P2pOptions, P2pProcess } from './p2p-process.ts'

export type RunP2pOptions = P2pOptions & {
  /** SIGTERM and SIGINT. */
  readonly signal: AbortSignal
}

/** @throws {FlatnetError} another process runs this host's direct paths */
export async function runP2p({ signal, ...options }: RunP2pOptions): Promise<void> {
  const p2p = new P2pProcess(options)
  p2p.log.info({}, 'process of direct paths started')
  shrink(p2p.log)
  try {
    while (!signal.aborted && p2p.stopReason === undefined) {
      turn(p2p)
      await nextTurn()
    }
    await leave(p2p)
  } finally {
    sayWhy(options.log, p2p.stopReason)
    p2p.close()
  }
}

/** An end in order loses no packet that is on its way. */
async function leave(p2p: P2pProcess): Promise<void> {
  p2p.leave()
  const end = p2p.clock.monotonic() + LINGER_AT_MOST_MS
  while (p2p.sessions.size > 0 && p2p.clock.monotonic() < end) {
    turn(p2p)
    await nextTurn()
  }
}

/** Memory is no reason not to run. */
function shrink(log: Log): void {
  try {
    dropExecutablePages()
  } catch (err) {
    log.debug({ err }, 'pages of the executable could not be dropped')
  }
}

function sayWhy(log: Log, reason: string | undefined): void {
  if (reason === undefined) log.info({}, 'process of direct paths stopped')
  else log.info({ reason }, 'process of direct paths stopped')
}
