/**
 * What the CNI path may load. Its list of modules is an API: growing it needs a reason in the commit
 * (docs/architecture/plugin.md#loads).
 */
import { spawnSync } from 'node:child_process'
import { build } from 'esbuild'
import t from 'tap'
import { inRepo } from '../../helpers/run/sources.ts'

/**
 * Everything that starts slowly (child_process, http, crypto, url, util) stays out; kernel/nft.ts gets what it needs
 * when it runs.
 */
const BUILT_IN = ['node:ffi', 'node:fs', 'node:path']
/** lowdb's core is 3 KB without imports of its own; its file adapters (lowdb/node) are not loaded. */
const PACKAGES = ['lowdb']

const packageOf = (file: string): string =>
  file.replace(/^.*node_modules\//, '').match(/^(?:@[^/]+\/)?[^/]+/)?.[0] ?? file

t.test('all verbs together, whatever their input', async (t) => {
  const { metafile } = await build({
    absWorkingDir: inRepo('.'),
    entryPoints: ['plugin/main.ts'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  const files = Object.keys(metafile.inputs)
  const builtIn = Object.values(metafile.inputs).flatMap((i) =>
    i.imports.filter((m) => m.external).map((m) => m.path),
  )
  t.strictSame([...new Set(builtIn)].sort(), BUILT_IN)
  t.strictSame([...new Set(files.filter((f) => f.includes('node_modules/')).map(packageOf))], PACKAGES)
  t.same(
    files.filter((f) => /^(bin|gateway)\//.test(f)),
    [],
    'nothing of the command line or the gateway',
  )
})

/** Modules that a run really loads, ours as paths from the root. */
function loads(verb: string): string[] {
  const ran = spawnSync(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--import',
      inRepo('test/helpers/run/record-loads.ts'),
      inRepo('bin/flatnet.ts'),
    ],
    { env: { CNI_COMMAND: verb }, stdio: ['ignore', 'ignore', 'inherit', 'pipe'], encoding: 'utf8' },
  )
  const urls = String(ran.output[3]).trim().split('\n')
  return [...new Set(urls.map((url) => url.replace(`file://${inRepo('')}/`, '')))]
}

t.test('VERSION, which Podman asks at every start, loads what it answers with and no more', async (t) => {
  const own = loads('VERSION').filter((m) => !m.startsWith('node:'))
  t.strictSame(own.sort(), [
    'bin/flatnet.ts',
    'core/attachment.ts',
    'core/clock.ts',
    'core/errors.ts',
    'core/trace.ts',
    'plugin/env.ts',
    'plugin/main.ts',
    'plugin/stdio.ts',
    'plugin/versions.ts',
  ])
})

t.test('a gateway on a host without a cluster loads neither TLS nor certificates', async (t) => {
  const { metafile } = await build({
    absWorkingDir: inRepo('.'),
    entryPoints: ['gateway/daemon.ts'],
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    outdir: 'out',
    write: false,
    metafile: true,
    packages: 'external',
    logLevel: 'silent',
  })
  const { outputs } = metafile
  const external = new Set<string>()
  const files = new Set<string>()
  const visited = new Set<string>()
  /** Modules that load with the entry; `import()` is for later. */
  const visit = (output: string): void => {
    if (visited.has(output)) return
    visited.add(output)
    for (const file of Object.keys(outputs[output]?.inputs ?? {})) files.add(file)
    for (const { path, kind, external: isExternal } of outputs[output]?.imports ?? []) {
      if (kind !== 'import-statement') continue
      if (isExternal === true) external.add(path)
      else visit(path)
    }
  }
  visit(Object.keys(outputs).find((o) => outputs[o]?.entryPoint === 'gateway/daemon.ts') ?? '')
  t.ok(files.has('gateway/compose.ts'))
  t.notOk(files.has('gateway/compose-cluster.ts'))
  t.same(
    [...external].filter((name) => /tls|https|x509|reflect-metadata/.test(name)),
    [],
  )
})
