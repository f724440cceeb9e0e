/** The gateway's log: pino to a file or stdout, JSON lines, fields from docs/logging.md. */

import { destination, pino, stdSerializers, stdTimeFunctions } from 'pino'
import type { LogConf } from '../conf/daemon.ts'
import type { Log } from '../core/log.ts'

export interface OpenLog {
  readonly log: Log
  /** Writes what is still in memory; call before the process ends. */
  close(): void
}

/** No transports: their worker threads do not survive bundling and cost 10 MB each. */
export function openLog({ level, file }: LogConf): OpenLog {
  const to = destination({ dest: file === '-' ? 1 : file, sync: false, mkdir: true })
  const log = pino(
    {
      level,
      base: null,
      messageKey: 'msg',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.errWithCause },
    },
    to,
  )
  return {
    log,
    close() {
      try {
        to.flushSync()
      } catch {
        // Not opened yet, or the reader of stdout is gone: nobody is left to tell.
      }
    },
  }
}
