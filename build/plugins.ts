/** What esbuild does beyond bundling: texts put inside, stand-ins, and the scope of modules. */

import { readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Plugin } from 'esbuild'
import { STAND_INS } from './stand-ins/table.ts'

const ROOT = resolve(import.meta.dirname, '..')

/** Puts the text of a file in the place of each `embedText('./file')`, so that what ships is inside the bundle. */
export const embedText: Plugin = {
  name: 'embed-text',
  setup(pluginBuild) {
    pluginBuild.onLoad({ filter: /\/(conf\/(templates|version))\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      const contents = source.replaceAll(/\bembedText\('(\.\.?\/[^']+)'\)/g, (_call, file: string) =>
        JSON.stringify(readFileSync(resolve(dirname(path), file), 'utf8')),
      )
      return { contents, loader: 'ts' }
    })
  },
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')

/** Puts the files of STAND_INS into the bundles of an executable. */
export const standIns = (executable: (typeof STAND_INS)[number]['executable']): Plugin => ({
  name: 'stand-ins',
  setup(pluginBuild) {
    for (const { file, replaces, importedBy } of STAND_INS.filter((s) => s.executable === executable)) {
      const filter = replaces.includes(':') ? `^${escaped(replaces)}$` : `/${escaped(basename(replaces))}$`
      pluginBuild.onResolve({ filter: new RegExp(filter) }, ({ importer, kind }) => {
        // bun-fs.ts itself gets Bun's own module by `require`.
        if (kind === 'require-call') return undefined
        if (importedBy !== undefined && importer !== join(ROOT, importedBy)) return undefined
        return { path: join(ROOT, 'build/stand-ins', file) }
      })
    }
  },
})

/**
 * The bundles of dist/flatnet-cni's verbs, which build/stand-ins/cni-parts.ts chooses from, with the modules of plugin/
 * that each loads.
 */
export const CNI_PARTS: Readonly<Record<string, readonly string[]>> = {
  'cni-version': [],
  'cni-add': ['verbs', 'add'],
  'cni-del': ['verbs', 'del'],
  'cni-others': ['verbs', 'check', 'gc', 'status'],
  'cni-netavark': ['verbs', 'run'],
}

/**
 * Turns dynamic imports into static ones, so that esbuild puts all modules into one scope. Without the function that it
 * wraps around each module that is loaded later, Bun's VERSION takes 8 % less and a DEL half a millisecond less
 * CPU, and Node's code cache of the verbs is a tenth smaller, 0.7 ms of an ADD.
 * @param only the modules that this bundle loads; others are left out. Absent: all
 */
export const flatImports = (only?: readonly string[]): Plugin => ({
  name: 'flat-imports',
  setup(pluginBuild) {
    pluginBuild.onLoad({ filter: /\/(plugin\/(verbs|main)|bin\/flatnet)\.ts$/ }, ({ path }) => {
      const files: string[] = []
      const body = readFileSync(path, 'utf8').replaceAll(
        /\bawait import\('(\.\.?\/[\w/]+\.ts)'\)/g,
        (_call, file: string) =>
          only === undefined || only.includes(basename(file, '.ts'))
            ? `imported${files.push(file)}`
            : 'undefined',
      )
      const imports = files.map((file, i) => `import * as imported${i + 1} from '${file}'\n`)
      return { contents: imports.join('') + body, loader: 'ts' }
    })
  },
})

/**
 * `this.#name` and declarations. No class of ours has a `$name`; a `#` in texts and comments follows other characters.
 */
const PRIVATE_NAMES = /(?<=\.)#(?=[a-z])|(?<=^ *(?:(?:static|readonly|get|async) )*)#(?=[a-z])/gm

/**
 * In the bundle for Bun, private members become plain ones: a class with private members costs the engine a scope and a
 * function more, and a check at each use. tsc has checked in the sources that no other code uses them.
 */
export const plainMembers: Plugin = {
  name: 'plain-members',
  setup(pluginBuild) {
    pluginBuild.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replaceAll(PRIVATE_NAMES, '$$'),
      loader: 'ts',
    }))
  },
}
