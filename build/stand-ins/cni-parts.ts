/**
 * Stands in for plugin/main.ts in dist/flatnet-cni: the plugin as the verb at hand needs it, each in a bundle that has all of
 * that verb in one scope and nothing of the others. The engine pays for what it finds in a scope, called or not.
 */
import type { Io } from '../../plugin/main.ts'

type Part = typeof import('../../plugin/main.ts')

/** Written out: Bun puts inside what it finds by these names. build/plugins.ts says what is in each. */
function partOf(verb: string): Part {
  switch (verb) {
    case 'VERSION':
      return require('./cni-version.cjs')
    case 'ADD':
      return require('./cni-add.cjs')
    case 'DEL':
      return require('./cni-del.cjs')
    default:
      return require('./cni-others.cjs')
  }
}

export const main = (io: Io): Promise<number> => partOf(io.env['CNI_COMMAND'] ?? '').main(io)
