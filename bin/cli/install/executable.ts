/** Which files become the commands: the packed executable, and the plugin beside it where it was built. */
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isSea } from 'node:sea'
import { CliError } from '../output.ts'

export interface Executables {
  /** The single binary: gateway and command line. */
  readonly main: string
  /** What goes into the CNI directory: `flatnet-cni` beside it, else the same file. */
  readonly plugin: string
}

/** @throws {CliError} started from the sources before they were built */
export function findExecutables(): Executables {
  const main = isSea() ? realpathSync(process.execPath) : join(import.meta.dirname, '../../../dist/flatnet')
  if (!existsSync(main)) {
    throw new CliError('the executable has not been built', 'npm run build, then dist/flatnet install')
  }
  const plugin = join(dirname(main), 'flatnet-cni')
  return { main, plugin: existsSync(plugin) ? plugin : main }
}

export const sameFile = (a: string, b: string): boolean =>
  existsSync(a) && existsSync(b) && realpathSync(a) === realpathSync(b)
