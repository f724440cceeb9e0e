/** The part of the build that is Bun's: compiles a bundle into an executable that nothing in its environment can turn into another. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { redirectImport } from './redirect-import.ts'

const PACKAGES: Readonly<Record<string, string>> = {
  x64: '@oven/bun-linux-x64',
  arm64: '@oven/bun-linux-aarch64',
}

/** The Bun that npm brought for this processor; undefined when there is none. */
export function bunExecutable(): string | undefined {
  const name = PACKAGES[process.arch]
  if (name === undefined) return undefined
  try {
    const path = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin/bun')
    return existsSync(path) ? path : undefined
  } catch {
    return undefined
  }
}

const FLAGS = [
  '--compile',
  // VERSION, medians of 80: 7.3 ms with bytecode and 15.5 without.
  '--bytecode',
  '--format=cjs',
  '--target=bun',
  // A process of 15 ms gains nothing by compiled code: ADD takes 18 ms of CPU with it and 25 without. A loop that
  // runs for a second is still compiled.
  '--compile-jit-policy=1000',
  // The runtime's working directory is anybody's.
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
  '--no-compile-autoload-tsconfig',
  '--no-compile-autoload-package-json',
]

/** Compiles a CommonJS bundle; `--compile-executable-path` keeps Bun from fetching one. */
export async function compileWithBun(bun: string, entry: string, out: string): Promise<void> {
  const args = ['build', ...FLAGS, `--compile-executable-path=${bun}`, entry, `--outfile=${out}`]
  const done = spawnSync(bun, args, { encoding: 'utf8', cwd: dirname(entry), env: {} })
  if (done.status !== 0 || !existsSync(out)) {
    throw new Error(`bun build: ${done.error?.message ?? `${done.stdout}${done.stderr}`.trim()}`)
  }
  const executable = readFileSync(out)
  for (const name of VARIABLES) rename(executable, name)
  needNoFolder(executable)
  writeFileSync(out, executable)
  chmodSync(out, 0o755)
}

/**
 * Variables by which a compiled executable becomes something else: Bun's own command line (BUN_BE_BUN), one with other
 * options or code, one that writes files or listens. A CNI plugin inherits the whole environment of whoever started
 * Podman, so none may work, and Bun has no switch for that. (`BUN_JSC_*`, the engine's debugging, is out of reach.)
 */
const VARIABLES = [
  'BUN_BE_BUN',
  'BUN_OPTIONS',
  'BUN_INSPECT_CONNECT_TO',
  'BUN_INSPECT_NOTIFY',
  'BUN_INSPECT_PRELOAD',
  'BUN_INSPECT',
  'BUN_BYTECODE_ORDER_OUT',
  'BUN_BYTECODE_DIGEST_OUT',
  'NODE_CHANNEL_FD',
] as const

/**
 * Bun asks for its working directory before anything else and ends when it was deleted, also for a program that never uses it.
 * Podman's cleanup process runs in the folder that its container was started from: with that gone no DEL would ever be done.
 * ctermid(3) takes the buffer as getcwd does, writes "/dev/tty" into it and cannot fail; paths of ours are absolute.
 */
function needNoFolder(executable: Buffer): void {
  redirectImport(executable, 'getcwd', 'ctermid', 'uv_fs_realpath')
}

/** `BUN_BE_BUN` → `bun_be_bun` wherever it stands in the file: of the same length, and no variable that anybody has. */
function rename(file: Buffer, name: string): void {
  const other = Buffer.from(name.toLowerCase())
  let count = 0
  for (let at = file.indexOf(name); at >= 0; at = file.indexOf(name, at + name.length)) {
    other.copy(file, at)
    count++
  }
  if (count === 0)
    throw new Error(`this Bun does not know ${name} any more: look at VARIABLES in build/bun.ts`)
}
