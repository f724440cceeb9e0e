/** The part of the build that is Node's: packs a bundle with the Node that npm brought, and takes from that what only costs time. */
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import seaPacker from '@yao-pkg/pkg/lib-es5/sea.js'
import { Elf } from './elf.ts'
import { fitSymbolFilter } from './symbol-filter.ts'

/** The Node that came by npm; nothing is downloaded. */
export function nodeToPack(): string {
  const arch = process.arch
  if (arch !== 'x64' && arch !== 'arm64') throw new Error(`no Node to pack for ${arch}: only x64 and arm64`)
  return join(dirname(createRequire(import.meta.url).resolve(`node-linux-${arch}/package.json`)), 'bin/node')
}

/** @returns what of the Node could not be mended; the executable works the same */
export async function pack(
  entry: string,
  output: string,
  assets: Record<string, string>,
  useCodeCache: boolean,
): Promise<readonly string[]> {
  const require = createRequire(import.meta.url)
  // pkg reports each of its steps with console.log; ours are enough.
  require('@yao-pkg/pkg/lib-es5/log.js').log.info = () => {}
  const seaConfig = {
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    // VERSION, medians of 60: 28.0 ms with it and 32.7 without, an empty executable 27.4.
    useCodeCache,
    execArgv: FLAGS,
    // NODE_OPTIONS of whoever starts Podman is not for us: an unknown flag in it would end the plugin.
    execArgvExtension: 'none',
    assets,
  }
  await seaPacker.default(entry, {
    seaConfig,
    nodePath: nodeToPack(),
    targets: [{ platform: 'linux', arch: process.arch, nodeRange: 'node26', output }],
  })
  const executable = readFileSync(output)
  const left = [fitSymbolFilter, stopDeadlockDetection].map((mend) => complaintOf(() => mend(executable)))
  writeFileSync(output, executable)
  return left.filter((complaint) => complaint !== undefined)
}

function complaintOf(mend: () => unknown): string | undefined {
  try {
    mend()
    return undefined
  } catch (err) {
    return err instanceof Error ? err.message : String(err)
  }
}

const FLAGS = [
  '--disable-warning=ExperimentalWarning',
  // New objects get 2 MB and not 16: after a load on the gateway 40 to 60 MB less are resident; requests/s are the same.
  '--max-semi-space-size=2',
  // Two threads for V8 and not four: to make and to end each takes 0.1 ms. Two collect 2 MB of new objects as fast as four
  // (a loop that makes and drops objects beside 60 MB that live: 421 ms and 434, CPU 570 and 594, means of 12 in turns).
  '--v8-pool-size=2',
  // Nor one that waits for a debugger, which nobody shall start in a process of root's.
  '--disable-sigusr1',
]

/** `absl::OnDeadlockCycle::kAbort` and `kIgnore`. */
const ABORT = 2
const IGNORE = 0

/**
 * Node's Abseil is a debug build: from the first mutex on it keeps a graph of who waits for whom, 1 MB, and adds to it
 * at each lock. This is what `absl::SetMutexDeadlockDetectionMode(kIgnore)` sets, and what a release build begins with.
 */
function stopDeadlockDetection(executable: Buffer): void {
  const mode = new Elf(executable).object('_ZN4absl12_GLOBAL__N_124synch_deadlock_detectionE')
  if (mode?.size !== 4 || executable.readInt32LE(mode.at) !== ABORT)
    throw new Error('its Abseil has no such mode of deadlock detection')
  executable.writeInt32LE(IGNORE, mode.at)
}
