/** Which files become the commands: the packed executable, and the plugin beside it where it was built. */

import { existsSync, realpathSync, type Stats, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isSea } from 'node:sea'
import { CliError } from '../ui/output.ts'

export interface Executables {
  /** The single binary: gateway and command line. */
  readonly main: string
  /** What goes into the CNI directory: `flatnet-cni` beside it, else the same file. */
  readonly plugin: string
}

/** @throws {CliError} started from the sources before they were built */
export function findExecutables(): Executables {
  const main = isSea() ? realpathSync(process.execPath) : join(import.meta.dirname, '../../dist/flatnet')
  if (!existsSync(main)) {
    throw new CliError('the executable has not been built', 'npm run build, then dist/flatnet install')
  }
  const plugin = join(dirname(main), 'flatnet-cni')
  return { main, plugin: existsSync(plugin) ? plugin : main }
}

/** The same inode, or a copy of it as `Changes.executable` makes them: with its size and its time. */
export function sameFile(a: string, b: string): boolean {
  const [x, y] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }))
  if (x === undefined || y === undefined) return false
  return (x.dev === y.dev && x.ino === y.ino) || (x.size === y.size && changedAt(x) === changedAt(y))
}

/** Whole ms: what can be set as exactly as it is read. */
export const changedAt = ({ mtimeMs }: Pick<Stats, 'mtimeMs'>): number => Math.round(mtimeMs)
