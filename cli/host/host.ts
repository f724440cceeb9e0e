/**
 * What the command line may ask of the machine: files and other programs.
 *
 * Tests put a table in its place.
 */

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

export interface Ran {
  /** Exit code; undefined when the program could not be started or was killed. */
  readonly code: number | undefined
  readonly stdout: string
  readonly stderr: string
}

export interface Host {
  /** The text of a file; undefined when it is absent or cannot be read. */
  read(path: string): string | undefined
  /** Sorted names in a directory; none when it is absent. */
  list(path: string): readonly string[]
  /** Runs a program to its end; undefined when there is no such program. */
  run(command: string, args: readonly string[], input?: string): Ran | undefined
  uid(): number
}

/** `podman info` on a slow disk takes seconds; longer than this is a program that hangs. */
const RUN_TIMEOUT_MS = 20_000
/** nft, ip and modprobe live in sbin, which is not on every PATH. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

function run(command: string, args: readonly string[], input = ''): Ran | undefined {
  const env = { ...process.env, PATH: [process.env['PATH'], PATH].filter(Boolean).join(':'), LC_ALL: 'C' }
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    env,
    input,
    timeout: RUN_TIMEOUT_MS,
    maxBuffer: 1 << 28,
  })
  if (done.error !== undefined && 'code' in done.error && done.error.code === 'ENOENT') return undefined
  return { code: done.status ?? undefined, stdout: done.stdout ?? '', stderr: done.stderr ?? '' }
}

export const systemHost: Host = {
  read(path) {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return undefined
    }
  },
  list(path) {
    try {
      return readdirSync(path).sort()
    } catch {
      return []
    }
  },
  run,
  uid: () => process.getuid?.() ?? -1,
}

/** The JSON a program printed; undefined when there is no program, it failed, or printed something else. */
// biome-ignore lint/suspicious/noExplicitAny: JSON of foreign tools
export function runJson<T = any>(host: Host, command: string, ...args: string[]): T | undefined {
  const ran = host.run(command, args)
  if (ran?.code !== 0) return undefined
  try {
    return JSON.parse(ran.stdout.trim() || '[]')
  } catch {
    return undefined
  }
}
