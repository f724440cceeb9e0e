/**
 * Runs a program and measures from outside how long it takes, with posix_spawn(3) and wait4(2) by FFI.
 *
 * node:child_process would fork this process, and that time would count too.
 */

import { DynamicLibrary, type FunctionDefinitions, getRawPointer } from 'node:ffi'

/** Paths of the executables to measure. */
export interface Executables {
  readonly flatnet: string
  readonly flatnetCni: string
  /** A packed Node that does nothing. */
  readonly empty: string
}

/** What run.ts tells inside.ts to measure in a private machine. */
export interface Order {
  readonly claim: 'version' | 'verbs' | 'leases' | 'parallel' | 'podman' | 'podman5'
  readonly executables: Executables
  /** On the machine's disk. */
  readonly dir: string
  readonly isQuick: boolean
  /** For `podman` and `podman5`: the program with its options, and the name of the image. */
  readonly podman?: {
    readonly argv: readonly string[]
    readonly image: string
    readonly env: Record<string, string>
  }
}

const SYMBOLS = {
  posix_spawn: {
    arguments: ['buffer', 'string', 'buffer', 'pointer', 'buffer', 'buffer'],
    return: 'i32',
  },
  posix_spawn_file_actions_init: { arguments: ['buffer'], return: 'i32' },
  posix_spawn_file_actions_addopen: {
    arguments: ['buffer', 'i32', 'string', 'i32', 'u32'],
    return: 'i32',
  },
  posix_spawn_file_actions_destroy: { arguments: ['buffer'], return: 'i32' },
  wait4: { arguments: ['i32', 'buffer', 'i32', 'buffer'], return: 'i32' },
} as const satisfies FunctionDefinitions

const c = new DynamicLibrary(null).getFunctions(SYMBOLS)

/** Larger than glibc's, which has 80 bytes. */
const FILE_ACTIONS_BYTES = 256
const RUSAGE_BYTES = 256
const O_RDONLY = 0
const O_WRONLY_CREAT_TRUNC = 0o1 | 0o100 | 0o1000

export interface Timed {
  /** From the spawn to the end of the process, as the parent sees it. */
  readonly ms: number
  readonly cpuMs: number
  /** Exit code; 128 and more for a signal. */
  readonly code: number
}

export interface Stdio {
  /** Paths of files. */
  readonly stdin?: string
  readonly stdout?: string
  readonly stderr?: string
}

const cstring = (text: string): Buffer => Buffer.from(`${text}\0`)

/** Makes a `char *[]`. @returns it, and buffers that have to live as long */
function pointers(texts: readonly string[]): { array: Buffer; kept: Buffer[] } {
  const kept = texts.map(cstring)
  const array = Buffer.alloc((texts.length + 1) * 8)
  kept.forEach((text, i) => {
    array.writeBigUInt64LE(getRawPointer(text), i * 8)
  })
  return { array, kept }
}

/** A running process. */
export interface Started {
  readonly pid: number
  readonly at: number
}

export function start(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  { stdin = '/dev/null', stdout = '/dev/null', stderr = '/dev/null' }: Stdio = {},
): Started {
  const [program = ''] = argv
  const args = pointers(argv)
  const variables = pointers(Object.entries(env).map(([key, value]) => `${key}=${value}`))
  const actions = Buffer.alloc(FILE_ACTIONS_BYTES)
  c.posix_spawn_file_actions_init(actions)
  c.posix_spawn_file_actions_addopen(actions, 0, stdin, O_RDONLY, 0)
  c.posix_spawn_file_actions_addopen(actions, 1, stdout, O_WRONLY_CREAT_TRUNC, 0o600)
  c.posix_spawn_file_actions_addopen(actions, 2, stderr, O_WRONLY_CREAT_TRUNC, 0o600)
  const pid = Buffer.alloc(4)
  const at = performance.now()
  const errno = c.posix_spawn(pid, program, actions, 0n, args.array, variables.array)
  c.posix_spawn_file_actions_destroy(actions)
  // Used after the call, so that the texts live until then.
  if (args.kept.length !== argv.length || errno !== 0) throw new Error(`${program}: errno ${errno}`)
  return { pid: pid.readInt32LE(), at }
}

/** Waits for the process to end, and blocks the thread. */
export function ended({ pid, at }: Started): Timed {
  const status = Buffer.alloc(4)
  const usage = Buffer.alloc(RUSAGE_BYTES)
  if (c.wait4(pid, status, 0, usage) !== pid) throw new Error(`wait4 of ${pid}`)
  const ms = performance.now() - at
  const seconds = (offset: number) =>
    Number(usage.readBigInt64LE(offset)) + Number(usage.readBigInt64LE(offset + 8)) / 1e6
  const signal = status.readInt32LE() & 0x7f
  const code = signal === 0 ? (status.readInt32LE() >> 8) & 0xff : 128 + signal
  return { ms, cpuMs: (seconds(0) + seconds(16)) * 1000, code }
}

export const timed = (argv: readonly string[], env: Readonly<Record<string, string>>, stdio?: Stdio): Timed =>
  ended(start(argv, env, stdio))
