/** Stands in for cli.ts in the packed executable: compiles the command line's own bundle, an asset, when it is needed. */
import { createRequire } from 'node:module'
import { getAsset } from 'node:sea'
import { Script } from 'node:vm'

/** Key of the bundle among the assets of the executable; bin/build.ts writes it. */
export const CLI_ASSET = 'cli.cjs'

type Cli = typeof import('./cli.ts')

/** Same contract as `cli` of cli.ts. A CNI verb never gets here, so it does not pay for yargs, pino and node:http. */
export function cli(...args: Parameters<Cli['cli']>): ReturnType<Cli['cli']> {
  const source = `(function (exports, require, module) {${getAsset(CLI_ASSET, 'utf8')}\n})`
  const compiled = new Script(source, { filename: CLI_ASSET }).runInThisContext()
  const module = { exports: {} as Cli }
  compiled(module.exports, createRequire(process.execPath), module)
  return module.exports.cli(...args)
}
