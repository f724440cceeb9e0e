/** Starts `flatnet p2p` as a process that outlives this one: its own session, its own log. */

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { isSea } from 'node:sea'

/** What the supervisor needs of a process that it started. */
export interface Launched {
  readonly pid: number | undefined
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
  /** Once, also when it could not be started. */
  onExit(listener: (how: string) => void): void
}

/** Its lines go to the gateway while there is one, so the file has little but the reasons for an early end. */
const MAX_LOG_BYTES = 8 * 1024 * 1024

/** This executable again, whether packed or run from its sources. */
export const p2pCommand = (config: string): string[] => {
  const script = process.argv[1]
  const entry = isSea() || script === undefined ? [] : [...process.execArgv, script]
  return [process.execPath, ...entry, 'p2p', '--config', config]
}

/** @throws the log cannot be opened */
export function launchProcess([command = '', ...args]: readonly string[], logFile: string): Launched {
  const log = openLogFile(logFile)
  try {
    const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log], cwd: '/' })
    child.unref()
    return {
      pid: child.pid,
      kill: (signal) => void child.kill(signal),
      onExit(listener) {
        child.once('error', (err) => listener(err.message))
        child.once('exit', (code, signal) => listener(signal ?? `exit code ${code}`))
      },
    }
  } finally {
    closeSync(log)
  }
}

function openLogFile(path: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) renameSync(path, `${path}.old`)
  return openSync(path, 'a', 0o640)
}
