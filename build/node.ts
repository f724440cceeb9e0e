/** Node's part of the build: packs a bundle with npm's Node, of which no byte is changed. */

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import seaPacker from '@yao-pkg/pkg/lib-es5/sea.js'

/** The Node that came by npm; nothing is downloaded. */
export function nodeToPack(): string {
  const arch = process.arch
  if (arch !== 'x64' && arch !== 'arm64') throw new Error(`no Node to pack for ${arch}: only x64 and arm64`)
  return join(dirname(createRequire(import.meta.url).resolve(`node-linux-${arch}/package.json`)), 'bin/node')
}

export async function pack(
  entry: string,
  output: string,
  assets: Record<string, string>,
  useCodeCache: boolean,
): Promise<void> {
  const require = createRequire(import.meta.url)
  // pkg reports each of its steps with console.log; ours are enough.
  require('@yao-pkg/pkg/lib-es5/log.js').log.info = () => {}
  const seaConfig = {
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    // VERSION, medians of 60: 28.0 ms with it and 32.7 without, an empty executable 27.4.
    useCodeCache,
    execArgv: FLAGS,
    // The NODE_OPTIONS of Podman's caller must not reach us: an unknown flag in it would end the plugin.
    execArgvExtension: 'none',
    assets,
  }
  await seaPacker.default(entry, {
    seaConfig,
    nodePath: nodeToPack(),
    targets: [{ platform: 'linux', arch: process.arch, nodeRange: 'node26', output }],
  })
}

const FLAGS = [
  '--disable-warning=ExperimentalWarning',
  // New objects get 2 MB and not 16: after a load on the gateway 40 to 60 MB less are resident; requests/s are the same.
  '--max-semi-space-size=2',
  // Two threads for V8 and not four: to make and to end each takes 0.1 ms. Two collect 2 MB of new objects as fast as four
  // (a loop that makes and drops objects beside 60 MB that live: 421 ms and 434, CPU 570 and 594, means of 12 in turns).
  '--v8-pool-size=2',
  // No thread that waits for a debugger: none may be started in a process of root's.
  '--disable-sigusr1',
]
