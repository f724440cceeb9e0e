/** Stands in for cli/cli.ts and plugin/verbs.ts: runs their bundles, assets of the executable. */

// VERSION carries this file too, so it asks for Node's modules only when it runs.

/** Keys of the assets of the executable; build/build.ts writes them. */
export const CLI_ASSET = 'cli.cjs'
export const PLUGIN_ASSET = 'plugin.cjs'
/** Suffix of the asset with a bundle's code cache. */
export const CACHE_SUFFIX = '.cache'

type Factory = (exports: object, require: (id: string) => unknown, module: { exports: object }) => void

/** The bundle as a function; build/code-cache.ts compiles the same text. */
export const wrapped = (bundle: string): string => `(function (exports, require, module) {${bundle}\n})`

/** An asset's exports. @param compiled the code cache; V8 compiles the source when it is of another V8 */
function load(name: string, source: string, compiled?: Buffer): object {
  const { Script } = process.getBuiltinModule('node:vm')
  const script = new Script(source, { filename: name, ...(compiled && { cachedData: compiled }) })
  const factory: Factory = script.runInThisContext()
  const module = { exports: {} }
  // Bundles import built-in modules and nothing else.
  factory(module.exports, process.getBuiltinModule, module)
  return module.exports
}

/**
 * The build checks that it is ASCII: one byte is one character, and V8 need not decode. One other character
 * would make two bytes of each, and the gateway keeps its text as long as it runs.
 */
const asciiAsset = (name: string): string => rawAsset(name).toString('latin1')

/** As it lies in the executable. */
const rawAsset = (name: string): Buffer => Buffer.from(process.getBuiltinModule('node:sea').getRawAsset(name))

type Verbs = typeof import('../verbs.ts')
type Cli = typeof import('../../cli/cli.ts')

/** In the place of plugin/verbs.ts. */
export const runVerb: Verbs['runAndEnd'] = (env) => verbs().runAndEnd(env)

export const runNetavark: Verbs['runNetavark'] = (args) => verbs().runNetavark(args)

const verbs = (): Verbs =>
  load(PLUGIN_ASSET, asciiAsset(PLUGIN_ASSET), rawAsset(PLUGIN_ASSET + CACHE_SUFFIX)) as Verbs

/** In the place of cli.ts. A CNI verb never gets here, so it does not pay for yargs, pino and node:http. */
export function cli(...args: Parameters<Cli['cli']>): ReturnType<Cli['cli']> {
  return (load(CLI_ASSET, asciiAsset(CLI_ASSET)) as Cli).cli(...args)
}
