/** Runs a command that lasts: it ends in order by a signal, or at once by an error that was not caught. */

import type { LogConf } from '../../conf/daemon.ts'
import type { Log } from '../../core/log.ts'
import { openLog } from '../../gateway/base/log.ts'

export interface LongRun {
  /** Logs an uncaught error. Then the process exits with 1, since its state is unknown. */
  crashed(log: Log, err: unknown): void
  /** @param stop SIGTERM or SIGINT has come */
  run(log: Log, stop: AbortSignal): Promise<void>
}

/** @returns the exit code */
export async function runUntilSignal(conf: LogConf, { crashed, run }: LongRun): Promise<number> {
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
  const { log, close, flush } = openLog(conf)
  const fatal = (err: unknown): void => {
    crashed(log, err)
    process.stderr.write(`flatnet: ${err instanceof Error ? err.stack : String(err)}\n`)
    try {
      flush()
    } finally {
      process.exit(1)
    }
  }
  process.on('uncaughtException', fatal)
  process.on('unhandledRejection', fatal)
  try {
    await run(log, stop.signal)
    return 0
  } finally {
    close()
  }
}
