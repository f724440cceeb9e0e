/** Node's part of the build: packs a bundle with npm's Node, of which no byte is changed. */

import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import seaPacker from '@yao-pkg/pkg/lib-es5/sea.js'
import { NODE_FLAGS } from './node-flags.ts'

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
    execArgv: [...NODE_FLAGS],
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
