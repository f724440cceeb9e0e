/**
 * The plugin's log: JSON lines in `<dataDir>/log/cni.log`, and on stderr only when that is a terminal
 * (docs/architecture/plugin.md#errors).
 */

import { appendFileSync, fstatSync, mkdirSync, renameSync, statSync, writeSync } from 'node:fs'
import { ioctl } from 'netlink-ts/libc.ts'
import type { Log, LogFields } from '../core/log.ts'

const STDERR = 2
/** include/uapi/asm-generic/ioctls.h; it fills a struct termios of 36 bytes. */
const TCGETS = 0x5401
/** One old file is kept, so the log never takes more than twice this. */
const MAX_BYTES = 4 * 1024 * 1024

function causeText(value: unknown): unknown {
  if (!(value instanceof Error)) return value
  const causes: string[] = []
  for (let e: unknown = value; e instanceof Error; e = e.cause) causes.push(e.message)
  return causes.join(': ')
}

/** Never throws: a log that cannot be written (full or read-only disk) must not stop a container. */
export function fileLog(dataDir: string, base: LogFields): Log {
  const dir = `${dataDir}/log`
  const path = `${dir}/cni.log`
  const write = (level: string) => (fields: LogFields, event: string) => {
    const entry: Record<string, unknown> = { time: new Date().toISOString(), level, event, pid: process.pid }
    for (const [key, value] of Object.entries({ ...base, ...fields })) entry[key] = causeText(value)
    const line = `${JSON.stringify(entry)}\n`
    try {
      if (isTerminal(STDERR)) writeSync(STDERR, line)
      append(dir, path, line)
    } catch {
      // See above; terminal and result have shown the error already.
    }
  }
  return { debug: () => {}, info: write('info'), warn: write('warn'), error: write('error') }
}

/** `process.stderr.isTTY` would load the runtime's streams: 2.7 ms of an ADD on Bun, as much on Node. */
export function isTerminal(fd: number): boolean {
  try {
    if (!fstatSync(fd).isCharacterDevice()) return false
    ioctl(fd, TCGETS, new Uint8Array(64))
    return true
  } catch {
    return false
  }
}

function append(dir: string, path: string, line: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size
  if (size === undefined) mkdirSync(dir, { recursive: true, mode: 0o750 })
  else if (size > MAX_BYTES) renameSync(path, `${path}.1`)
  appendFileSync(path, line, { mode: 0o640 })
}
