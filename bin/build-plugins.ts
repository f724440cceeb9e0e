/** What esbuild does beyond bundling: texts put inside, parts kept apart, and what takes the place of Bun's built-in modules. */
import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Plugin } from 'esbuild'

const ROOT = resolve(import.meta.dirname, '..')

/** Puts the text of a file in the place of each `embedText('./file')`, so that what ships is inside the bundle. */
export const embedText: Plugin = {
  name: 'embed-text',
  setup(pluginBuild) {
    pluginBuild.onLoad({ filter: /\/(conf\/templates|bin\/version)\.ts$/ }, ({ path }) => {
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
    const loader = join(ROOT, 'bin/packed.ts')
    const places = [join(ROOT, 'bin/flatnet.ts'), join(ROOT, 'plugin/skel.ts')]
    pluginBuild.onResolve({ filter: /^\.\/(cli|run)\.ts$/ }, ({ importer }) =>
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
        : { path: join(ROOT, `bin/bun-${path.slice(path.indexOf(':') + 1)}.ts`) },
    )
  },
}

/** In the bundle for Bun, the verbs become a bundle of their own, as for Node; bun build puts it in as one function. */
export const CNI_RUN = 'cni-run.cjs'
export const cniParts: Plugin = {
  name: 'cni-parts',
  setup(pluginBuild) {
    pluginBuild.onResolve({ filter: /^\.\/run\.ts$/ }, ({ importer }) =>
      importer === join(ROOT, 'plugin/skel.ts') ? { path: `./${CNI_RUN}`, external: true } : undefined,
    )
  },
}

/**
 * The verbs are imported at once, so that esbuild lays all modules into one scope: without a function around each, as it
 * makes for what is loaded later, VERSION takes 8 % less and a DEL half a millisecond less CPU.
 */
export const flatVerbs: Plugin = {
  name: 'flat-verbs',
  setup(pluginBuild) {
    pluginBuild.onLoad({ filter: /\/plugin\/run\.ts$/ }, ({ path }) => {
      const verbs: string[] = []
      const body = readFileSync(path, 'utf8').replaceAll(
        /\bawait import\('(\.\/\w+\.ts)'\)/g,
        (_call, file: string) => `verb${verbs.push(file)}`,
      )
      const imports = verbs.map((file, i) => `import * as verb${i + 1} from '${file}'\n`)
      return { contents: imports.join('') + body, loader: 'ts' }
    })
  },
}
