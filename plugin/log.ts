/** The plugin's log: JSON lines in `<dataDir>/log/cni.log`, and on stderr only when that is a terminal (DESIGN 11). */

import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs'
import type { Log, LogFields } from '../core/log.ts'

/** One old file is kept, so the log never takes more than twice this. */
const MAX_BYTES = 4 * 1024 * 1024

function plain(value: unknown): unknown {
  if (!(value instanceof Error)) return value
  const causes: string[] = []
  for (let e: unknown = value; e instanceof Error; e = e.cause) causes.push(e.message)
  return causes.join(': ')
}

/** Never throws: a log that cannot be written (full or read-only disk) must not stop a container. */
export function fileLog(dataDir: string, base: LogFields, stderrIsTty: boolean): Log {
  const dir = `${dataDir}/log`
  const path = `${dir}/cni.log`
  const write = (level: string) => (fields: LogFields, event: string) => {
    const entry: Record<string, unknown> = { time: new Date().toISOString(), level, event, pid: process.pid }
    for (const [key, value] of Object.entries({ ...base, ...fields })) entry[key] = plain(value)
    const line = `${JSON.stringify(entry)}\n`
    if (stderrIsTty) process.stderr.write(line)
    try {
      append(dir, path, line)
    } catch {
      // See above; the terminal and the result already said what matters.
    }
  }
  return { debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') }
}

function append(dir: string, path: string, line: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size
  if (size === undefined) mkdirSync(dir, { recursive: true, mode: 0o750 })
  else if (size > MAX_BYTES) renameSync(path, `${path}.1`)
  appendFileSync(path, line, { mode: 0o640 })
}
