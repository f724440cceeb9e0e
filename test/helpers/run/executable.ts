/** Chooses the executables for tests: those of `npm run build`, else a wrapper that runs the sources. */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

export interface Executable {
  /** For test names, e.g. `flatnet`, `flatnet-cni`, `source`. */
  readonly name: string
  readonly path: string
  /** Has the gateway and the CLI; `flatnet-cni` is the plugin role alone. */
  readonly hasCli: boolean
}

export const ROOT: string = resolve(import.meta.dirname, '../../..')
const BUILT = [
  { name: 'flatnet', path: join(ROOT, 'dist/flatnet'), hasCli: true },
  { name: 'flatnet-cni', path: join(ROOT, 'dist/flatnet-cni'), hasCli: false },
]

/** Runs `bin/flatnet.ts` with this Node; about three times slower to start than the built executable. */
function sourceWrapper(): Executable {
  const path = join(ROOT, '.build/dev/flatnet')
  const entry = join(ROOT, 'bin/flatnet.ts')
  const node = join(ROOT, 'node_modules/.bin/node')
  mkdirSync(dirname(path), { recursive: true })
  if (!existsSync(path)) {
    writeFileSync(path, `#!/bin/sh\nexec "${node}" --disable-warning=ExperimentalWarning "${entry}" "$@"\n`)
    chmodSync(path, 0o755)
  }
  return { name: 'source', path, hasCli: true }
}

/** FLATNET_EXECUTABLE: paths separated by `:`, or `source`. */
function fromEnvironment(value: string): Executable[] {
  return value.split(':').map((path) => {
    if (path === 'source') return sourceWrapper()
    const known = BUILT.find((built) => built.path === resolve(path))
    return known ?? { name: path, path: resolve(path), hasCli: !path.endsWith('-cni') }
  })
}

/** Every conformance, podman, netns and fault test runs against each of these. Never empty. */
export function executables(): readonly Executable[] {
  const asked = process.env['FLATNET_EXECUTABLE']
  if (asked) return fromEnvironment(asked)
  const built = BUILT.filter(({ path }) => existsSync(path))
  return built.length > 0 ? built : [sourceWrapper()]
}

/** The executable with the gateway and the CLI. */
export function cliExecutable(): Executable {
  return executables().find(({ hasCli }) => hasCli) ?? sourceWrapper()
}
