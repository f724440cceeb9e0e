/** Stands in for plugin/main.ts: loads the bundle of the verb at hand and nothing of the others. */

import type { Io } from '../../plugin/main.ts'

type Part = typeof import('../../plugin/main.ts')

/** The names are literal, as `bun build` embeds what it finds by them. build/plugins.ts says what is in each. */
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

export const netavark: Part['netavark'] = (args) => require('./cni-netavark.cjs').netavark(args)
