/** Starts `flatnet p2p` as a process that outlives this one, with its own session and log. */

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { isSea } from 'node:sea'

/** What the supervisor needs of a process that it started. */
export interface Launched {
  readonly pid: number | undefined
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
  /** Called once, also when the process could not be started. */
  onExit(listener: (how: string) => void): void
}

/** While a gateway is connected it logs for the process, so this file holds little but the reason for an early end. */
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
