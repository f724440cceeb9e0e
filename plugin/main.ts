/**
 * The plugin's entry points: environment or command line in, one JSON document on stdout, an exit code out.
 *
 * Answers VERSION itself and loads the code of other verbs on demand.
 */

import { toCniError } from '../core/errors.ts'
import { mark } from '../core/trace.ts'
import { readEnv } from './env.ts'
import { print } from './stdio.ts'
import { CURRENT_VERSION, SUPPORTED_VERSIONS } from './versions.ts'

/** What `process` gives, as an argument, so that tests need no process. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
}

/** @returns the exit code: 0, or 1 with an error object on stdout */
export async function main(io: Io): Promise<number> {
  try {
    mark('runtime and entry')
    const env = readEnv(io.env)
    if (env.verb === 'VERSION') return printVersion()
    // In the packed executable build/stand-ins/packed.ts replaces verbs.ts.
    const { runVerb } = await import('./verbs.ts')
    return await runVerb(env)
  } catch (err) {
    print(JSON.stringify(toCniError(err, CURRENT_VERSION)))
    return 1
  }
}

/** The other dialect, which a command line chooses: `CNI_COMMAND` may stand in any environment. */
export async function netavark(args: readonly string[]): Promise<number> {
  const { runNetavark } = await import('./verbs.ts')
  return runNetavark(args)
}

/** Never reads stdin: Podman asks at every start and may leave it open (docs/architecture/cni.md#v1). */
function printVersion(): number {
  print(JSON.stringify({ cniVersion: CURRENT_VERSION, supportedVersions: SUPPORTED_VERSIONS }))
  return 0
}
