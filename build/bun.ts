/** Bun's part of the build: compiles a bundle and changes what a plugin cannot live with. */

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
  // The working directory is the caller's, and its files must not configure the plugin.
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
  changeRuntime(out)
  chmodSync(out, 0o755)
  checkRuntime(out)
}

/**
 * All that is changed in the executable that Bun compiled. Both changes are for correctness, and Bun has no switch for
 * either; a build in which one of them did not take ends with an error that leads here.
 *
 * 1. The names in VARIABLES become lower case (`bun_be_bun`), so that no variable which a CNI plugin inherits from
 *    Podman's environment turns it into Bun's own command line, loads code, writes files or listens.
 * 2. Calls of getcwd(3) go to ctermid(3). Bun asks for its working directory before anything else and exits when that
 *    was deleted. Podman's cleanup process runs in the folder that the container was started from: without it, no DEL
 *    would be done. ctermid takes a buffer as getcwd does, writes "/dev/tty" into it and cannot fail; every path of
 *    the plugin is absolute.
 */
function changeRuntime(path: string): void {
  const executable = readFileSync(path)
  for (const name of VARIABLES) rename(executable, name)
  redirectImport(executable, 'getcwd', 'ctermid', 'uv_fs_realpath')
  writeFileSync(path, executable)
}

/** Not among them: `BUN_JSC_*`, which tune and debug the engine. */
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

function rename(file: Buffer, name: string): void {
  const other = Buffer.from(name.toLowerCase())
  let count = 0
  for (let at = file.indexOf(name); at >= 0; at = file.indexOf(name, at + name.length)) {
    other.copy(file, at)
    count++
  }
  if (count === 0) throw new Error(`this Bun does not read ${name} any more: ${SEE}`)
}

const SEE = 'look at changeRuntime in build/bun.ts'

/** Starts the executable in a deleted folder, as Bun's command line: it must answer VERSION all the same. */
function checkRuntime(path: string): void {
  const deleted = 'dir=$(mktemp -d) && cd "$dir" && rmdir "$dir" && exec "$0" --version'
  const env = { PATH: '/usr/bin:/bin', CNI_COMMAND: 'VERSION', BUN_BE_BUN: '1', BUN_OPTIONS: '--revision' }
  const { status, stdout, stderr, error } = spawnSync('sh', ['-c', deleted, path], {
    env,
    encoding: 'utf8',
    timeout: 20_000,
  })
  if (status === 0 && stdout.includes('"supportedVersions"')) return
  const said = error?.message ?? `exit status ${status}, ${`${stdout}${stderr}`.trim()}`
  throw new Error(`the compiled executable does not answer VERSION in a deleted folder (${said}): ${SEE}`)
}
