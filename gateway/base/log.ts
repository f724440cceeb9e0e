/** The gateway's log: pino to a file or stdout, JSON lines, fields from docs/logging.md. */

import { mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { destination, pino, stdSerializers, stdTimeFunctions } from 'pino'
import type { LogConf } from '../../conf/daemon.ts'
import type { Log } from '../../core/log.ts'

export interface OpenLog {
  readonly log: Log
  /** Writes what is still in memory before the process ends, provided that it does not end by process.exit(). */
  close(): void
  /** For an end by process.exit(): writes what is in memory before this returns. */
  flush(): void
}

/**
 * Opens the file synchronously, as nothing is served yet.
 *
 * pino would open it in the background, and a start that fails at once would end before its reason is written. It
 * appends, so that a rotation may copy and truncate.
 */
function openFile(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
  return openSync(path, 'a', 0o640)
}

/** Without transports: their worker threads do not survive bundling and cost 10 MB each. */
export function openLog({ level, file }: LogConf): OpenLog {
  const to = destination({ fd: file === '-' ? 1 : openFile(file), sync: false })
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
      // A reader of stdout that is gone, or a full disk: there is no place left for a complaint.
      to.on('error', () => {})
      to.end()
    },
    flush() {
      to.flushSync()
    },
  }
}
