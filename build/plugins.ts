/** What esbuild does beyond bundling: texts put inside, parts kept apart, and what takes the place of Bun's built-in modules. */
import { readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Plugin } from 'esbuild'

const ROOT = resolve(import.meta.dirname, '..')

/** Puts the text of a file in the place of each `embedText('./file')`, so that what ships is inside the bundle. */
export const embedText: Plugin = {
  name: 'embed-text',
  setup(pluginBuild) {
    pluginBuild.onLoad({ filter: /\/(conf\/templates|cli\/version)\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8')
      const contents = source.replaceAll(/\bembedText\('(\.\.?\/[^']+)'\)/g, (_call, file: string) =>
        JSON.stringify(readFileSync(resolve(dirname(path), file), 'utf8')),
      )
      return { contents, loader: 'ts' }
    })
  },
}

/** In the main bundle, the command line and the verbs become the loaders of their own bundles: VERSION carries neither. */
export const packedParts: Plugin = {
  name: 'packed-parts',
  setup(pluginBuild) {
    const loader = join(ROOT, 'build/stand-ins/packed.ts')
    const places = [join(ROOT, 'bin/flatnet.ts'), join(ROOT, 'plugin/main.ts')]
    pluginBuild.onResolve({ filter: /\/(cli|verbs)\.ts$/ }, ({ importer }) =>
      places.includes(importer) ? { path: loader } : undefined,
    )
  },
}

/** In the bundle for Bun, what takes the place of its built-in modules: see each file. */
export const bunBuiltIns: Plugin = {
  name: 'bun-built-ins',
  setup(pluginBuild) {
    pluginBuild.onResolve({ filter: /^(node:fs|node:path|bun:ffi)$/ }, ({ path, kind }) =>
      kind === 'require-call'
        ? undefined
        : { path: join(ROOT, `build/stand-ins/bun-${path.slice(path.indexOf(':') + 1)}.ts`) },
    )
  },
}

/** The bundles of dist/flatnet-cni's verbs, which build/stand-ins/cni-parts.ts chooses from, with the modules of plugin/ that each loads. */
export const CNI_PARTS: Readonly<Record<string, readonly string[]>> = {
  'cni-version': [],
  'cni-add': ['verbs', 'add'],
  'cni-del': ['verbs', 'del'],
  'cni-others': ['verbs', 'check', 'gc', 'status'],
}

/** In the bundle for Bun, the plugin becomes what chooses among its parts; bun build puts each in as one function. */
export const cniParts: Plugin = {
  name: 'cni-parts',
  setup(pluginBuild) {
    pluginBuild.onResolve({ filter: /\/plugin\/main\.ts$/ }, ({ importer }) =>
      importer === join(ROOT, 'bin/flatnet-cni.ts')
        ? { path: join(ROOT, 'build/stand-ins/cni-parts.ts') }
        : undefined,
    )
  },
}

/**
 * What is imported when it is called for is imported at once, so that esbuild lays all modules into one scope: without a
 * function around each, as it makes for what is loaded later, Bun's VERSION takes 8 % less and a DEL half a millisecond less
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

/** `this.#name` and declarations; a class of ours has no `$name`, and a `#` in a text or a comment stands behind something else. */
const PRIVATE_NAMES = /(?<=\.)#(?=[a-z])|(?<=^ *(?:(?:static|readonly|get|async) )*)#(?=[a-z])/gm

/**
 * In the bundle for Bun, private members become plain ones: for a class with private ones the engine makes a scope and one
 * function more, and checks each use. That nobody else uses them is what the compiler has seen in the sources.
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
