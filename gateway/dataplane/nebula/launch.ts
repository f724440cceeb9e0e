/** Starts Nebula as a child of the gateway, and knows it again after a gateway that was killed. */

import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Millis } from '../../../core/clock.ts'
import { isObject } from '../../../core/json.ts'
import type { Launched } from '../p2p/launch.ts'
import type { NebulaFiles } from './overlay.ts'

/** What is wrong stands at the end of a line, behind a whole certificate. */
const MAX_LINE = 8_192

/**
 * In a session of its own, as the gateway ends it by itself: a terminal's Ctrl-C would take the device away before the
 * routes.
 * @param said each line that it prints
 */
export function launchNebula(
  { config, process: record }: NebulaFiles,
  said: (line: string) => void,
): Launched {
  const child = spawn('nebula', ['-config', config], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    let rest = ''
    stream.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = (lines.pop() ?? '').slice(0, MAX_LINE)
      for (const line of lines) if (line !== '') said(line)
    })
  }
  const { pid } = child
  const startTime = pid === undefined ? undefined : startTimeOf(pid)
  try {
    if (startTime !== undefined) writeRecord(record, { pid, startTime })
  } catch (err) {
    // The gateway after one that was killed would not know it.
    child.kill('SIGKILL')
    throw err
  }
  return {
    pid,
    kill: (signal) => void child.kill(signal),
    onExit(listener) {
      let failed: string | undefined
      child.once('error', (err) => {
        failed = err.message
      })
      // Not `exit`: its last words may still be in the pipe. It comes after an error as well.
      child.once('close', (code, signal) => listener(failed ?? signal ?? `exit code ${code}`))
    },
  }
}

/** From the start of the gateway to its end in order: what it finds of another is of one that was killed. */
export function writeRecord(
  record: string,
  who: { readonly pid?: number | undefined; readonly startTime?: string },
): void {
  mkdirSync(dirname(record), { recursive: true, mode: 0o700 })
  writeFileSync(record, JSON.stringify(who), { mode: 0o600 })
}

/** In clock ticks since the boot: with the pid it names a process for good. @returns undefined: there is none */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may hold anything; proc(5): this is the 22nd field, and the name is the 2nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie has ended.
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

const TERM_MS: Millis = 2_000
const KILL_MS: Millis = 1_000
const POLL_MS: Millis = 20

/**
 * Ends the Nebula of a gateway that was killed, and no other process.
 * @returns its pid; undefined: none ran
 */
export async function endLeftover(record: string): Promise<number | undefined> {
  const { pid, startTime } = readRecord(record)
  rmSync(record, { force: true })
  const runs = (): boolean => startTime !== undefined && startTimeOf(pid) === startTime
  if (!runs()) return undefined
  for (const [signal, forMs] of [
    ['SIGTERM', TERM_MS],
    ['SIGKILL', KILL_MS],
  ] as const) {
    if (runs()) process.kill(pid, signal)
    for (let waited = 0; runs() && waited < forMs; waited += POLL_MS) await sleep(POLL_MS)
  }
  return pid
}

function readRecord(record: string): { readonly pid: number; readonly startTime: string | undefined } {
  try {
    const value: unknown = JSON.parse(readFileSync(record, 'utf8'))
    if (isObject(value) && typeof value['pid'] === 'number' && typeof value['startTime'] === 'string')
      return { pid: value['pid'], startTime: value['startTime'] }
  } catch {
    // None, or one that was torn by a crash: there is nothing to know a process by.
  }
  return { pid: 0, startTime: undefined }
}
