/**
 * `npm run build`: dist/flatnet, one executable without Node or files beside it, and dist/flatnet-cni.
 *
 * The first is packed with Node and has every role; the second is the CNI plugin alone, compiled by Bun.
 */

import { isAscii } from 'node:buffer'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type BuildOptions, build, type Plugin } from 'esbuild'
import { processIsAlive } from '../kernel/durable.ts'
import { bunExecutable, compileWithBun } from './bun.ts'
import { nodeToPack, pack } from './node.ts'
import { CNI_PARTS, embedText, flatImports, plainMembers, standIns } from './plugins.ts'
import { CACHE_SUFFIX, CLI_ASSET, PLUGIN_ASSET, wrapped } from './stand-ins/packed.ts'

const ROOT = resolve(import.meta.dirname, '..')
const WORK = join(ROOT, '.build')

const shared: BuildOptions = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  legalComments: 'none',
  // The embedder of a packed executable imports built-in modules only, and slower than `require` gets them.
  supported: { 'dynamic-import': false },
  // yargs asks import.meta.url for its locale files; without them it speaks English, as everything else here.
  define: { 'import.meta.url': 'bundleUrl', 'import.meta.dirname': '"/"' },
  banner: { js: "const bundleUrl = 'file:///flatnet/bundle.cjs'" },
  logLevel: 'warning',
}

const forNode: BuildOptions = { ...shared, target: 'node26', keepNames: true }
/** Bun compiles names as they are; the wrappers that keep them through minifying would only cost time. */
const forBun: BuildOptions = {
  ...shared,
  target: 'esnext',
  conditions: ['bun'],
  // The engine reads a part's whole text before it takes the part's bytecode: 190 KB for ADD, where comments and
  // indentation are 50 KB more.
  minifyWhitespace: true,
  external: ['bun:*', './cni-*.cjs'],
  // Members of a class are set in its constructor, without a function of their own.
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
}

/** One line per step, with what it cost. */
async function step<T>(what: string, work: () => Promise<T>, size: () => number): Promise<T> {
  const start = performance.now()
  const result = await work()
  const kb = size() / 1024
  const text = kb > 4096 ? `${(kb / 1024).toFixed(1)} MB` : `${kb.toFixed(0)} KB`
  console.log(
    `build: ${what.padEnd(44)} ${text.padStart(9)} ${(performance.now() - start).toFixed(0).padStart(6)} ms`,
  )
  return result
}

async function bundle(
  common: BuildOptions,
  entry: string,
  outfile: string,
  plugins: readonly Plugin[],
): Promise<void> {
  const options = { ...common, entryPoints: [entry], outfile, plugins: [...plugins] }
  await step(
    `${entry} -> ${outfile}`,
    () => build(options),
    () => statSync(join(ROOT, outfile)).size,
  )
}

/** @returns the path of the bundle as packed.ts takes it: wrapped, and ASCII */
function textAsset(bundle: string, key: string): string {
  const text = wrapped(readFileSync(join(WORK, bundle), 'utf8'))
  if (!isAscii(Buffer.from(text))) throw new Error(`${bundle} is not ASCII`)
  writeFileSync(join(WORK, key), text)
  return join(WORK, key)
}

/** @returns the assets that `bundle` becomes: its text and its code cache */
async function compiledAssets(bundle: string, key: string): Promise<Record<string, string>> {
  const [source, cache] = [join(WORK, key), join(WORK, key + CACHE_SUFFIX)]
  const command = [
    nodeToPack(),
    '--disable-warning=ExperimentalWarning',
    // The seed of string hashes decides the order in which strings are written.
    '--random-seed=1',
    join(ROOT, 'build/code-cache.ts'),
    bundle,
    source,
    cache,
  ]
  await step(
    `code cache of ${bundle}`,
    async () => {
      // A rehearsal, with V8's threads, differs from run to run; --no-code-cache asks for reproducible bytes instead.
      if (values['code-cache'] && isRehearsed(command)) return
      execFileSync(command[0] ?? '', command.slice(1), { cwd: ROOT, env: {} })
    },
    () => statSync(cache).size,
  )
  return { [key]: source, [key + CACHE_SUFFIX]: cache }
}

/**
 * Makes the code cache of what ADD and DEL run: reading it takes 1 ms less than reading that of everything.
 * @returns false where namespaces or nft are refused
 */
function isRehearsed(command: readonly string[]): boolean {
  const args = ['--map-root-user', '--net', ...command, '--rehearse']
  const { status, stdout, stderr, error } = spawnSync('unshare', args, {
    cwd: ROOT,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: 20_000,
  })
  if (status === 0) return true
  // A verb's error object, or the message of unshare or Node.
  const why =
    error?.message ??
    (stdout || stderr)
      .trim()
      .split('\n')
      .at(stdout ? -1 : 0)
  console.log(`build: no ADD can be rehearsed here (${why}), so everything is compiled; ADD takes 1 ms more`)
  return false
}

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(ROOT, 'dist/flatnet') },
    'code-cache': { type: 'boolean', default: true },
    cni: { type: 'boolean', default: true },
    // For bench/: a packed Node that does nothing, and nothing else is built.
    empty: { type: 'string' },
  },
  allowNegative: true,
})

async function main(): Promise<void> {
  if (!process.version.startsWith('v26.')) {
    throw new Error(
      `this is Node ${process.version}: start it as \`npm run build\`, which takes the Node 26 of node_modules`,
    )
  }
  if (values.empty !== undefined) return buildEmpty(resolve(values.empty))
  const out = resolve(values.out)
  mkdirSync(dirname(out), { recursive: true })
  mkdirSync(WORK, { recursive: true })
  await bundle({ ...forNode, keepNames: false }, 'bin/flatnet.ts', '.build/flatnet.cjs', [
    embedText,
    standIns('flatnet'),
    flatImports(),
  ])
  // Without their comments both are ASCII.
  await bundle(
    { ...forNode, minifyWhitespace: true, keepNames: false },
    'build/verbs.ts',
    '.build/verbs.cjs',
    [embedText, flatImports()],
  )
  await bundle({ ...forNode, minifyWhitespace: true }, 'cli/cli.ts', '.build/cli-asset.cjs', [embedText])
  const assets = {
    [CLI_ASSET]: textAsset('cli-asset.cjs', CLI_ASSET),
    ...(await compiledAssets('.build/verbs.cjs', PLUGIN_ASSET)),
  }
  await replaced('packed', out, (fresh) =>
    pack(join(WORK, 'flatnet.cjs'), fresh, assets, values['code-cache']),
  )
  if (values.cni) await buildCni(`${out}-cni`)
}

async function buildEmpty(out: string): Promise<void> {
  mkdirSync(WORK, { recursive: true })
  const entry = join(WORK, 'empty.cjs')
  writeFileSync(entry, '')
  await replaced('packed', out, (fresh) => pack(entry, fresh, {}, values['code-cache']))
}

/** Without Bun dist/flatnet is complete in itself: it has the plugin role too. */
async function buildCni(out: string): Promise<void> {
  const bun = bunExecutable()
  if (bun === undefined) {
    // One of an earlier build would be installed in the place of the new code.
    rmSync(out, { force: true })
    console.log(
      `build: @oven/bun-linux-* is not installed, so there is no ${out}; everything works without it`,
    )
    return
  }
  for (const [part, modules] of Object.entries(CNI_PARTS)) {
    const plugins = [embedText, standIns('flatnet-cni'), flatImports(modules), plainMembers]
    await bundle(forBun, 'plugin/main.ts', `.build/${part}.cjs`, plugins)
  }
  await bundle(forBun, 'bin/flatnet-cni.ts', '.build/flatnet-cni.cjs', [embedText, standIns('flatnet-cni')])
  await replaced('compiled', out, (fresh) => compileWithBun(bun, join(WORK, 'flatnet-cni.cjs'), fresh))
}

/** Removes what killed builds left, 150 MB each. */
function sweep(out: string): void {
  for (const name of readdirSync(dirname(out))) {
    const [, of, pid] = /^(.+)\.(\d+)\.new$/.exec(name) ?? []
    if (of === basename(out) && !processIsAlive(Number(pid)))
      rmSync(join(dirname(out), name), { force: true })
  }
}

/** A running gateway or plugin holds the old file: only a rename may put the new one in its place. */
async function replaced(how: string, out: string, make: (fresh: string) => Promise<void>): Promise<void> {
  const fresh = `${out}.${process.pid}.new`
  sweep(out)
  try {
    await step(
      `${how} ${out}`,
      () => make(fresh),
      () => statSync(fresh).size,
    )
    renameSync(fresh, out)
  } finally {
    rmSync(fresh, { force: true })
  }
}

try {
  await main()
} catch (err) {
  console.error(`build: ${err instanceof Error ? err.message : String(err)}`)
  process.exitCode = 1
}
