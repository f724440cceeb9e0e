/**
 * Builds the folder to publish: `node netlink-ts/pack.ts <folder>`, then `npm publish <folder>`.
 * Node does not strip types below node_modules, so the package has JavaScript and declarations. Line numbers stay.
 * Needs `tsc` in PATH for the declarations.
 */

import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'

const ROOT = import.meta.dirname
const SELF = 'pack.ts'

const sources = (folder = ''): string[] =>
  readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sources(path)
    return path.endsWith('.ts') && path !== SELF ? [path] : []
  })

/** Changes relative specifiers only: `from './x.ts'`, `import('./x.ts')`. */
const toJs = (code: string): string =>
  code.replace(/((?:from|import\()\s*['"]\.{1,2}\/[^'"]+)\.ts(['"])/g, '$1.js$2')

/** tsc reads ambient declarations, e.g. of bun:ffi. No exported type needs them, so they are not published. */
const isAmbient = (file: string): boolean => file.endsWith('.d.ts')

function declarations(files: readonly string[], out: string): void {
  // Those options of the repository's tsconfig.json that change declarations.
  const options =
    '--ignoreConfig --declaration --emitDeclarationOnly --target esnext --lib esnext --module nodenext --types node ' +
    '--strict --exactOptionalPropertyTypes --allowImportingTsExtensions --skipLibCheck --noEmitOnError'
  const args = [...options.split(' '), '--rootDir', ROOT, '--outDir', out, ...files]
  const done = spawnSync('tsc', args, { cwd: ROOT, encoding: 'utf8' })
  if (done.error) throw new Error('tsc cannot be run; is node_modules/.bin in PATH?', { cause: done.error })
  if (done.status !== 0) throw new Error(`tsc: ${done.stdout}${done.stderr}`)
  for (const file of files) {
    if (isAmbient(file)) continue
    const path = join(out, file.replace(/\.ts$/, '.d.ts'))
    writeFileSync(path, toJs(readFileSync(path, 'utf8')))
  }
}

function manifest(files: readonly string[]): object {
  const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const entry = { types: './*.d.ts', default: './*.js' }
  return {
    ...own,
    imports: {
      '#libc': {
        ...(files.includes('libc.bun.ts') && { bun: './libc.bun.js' }),
        default: './libc.node.js',
      },
    },
    // `netlink-ts/socket.ts` stays valid, so that a program can move from the sources to the package.
    exports: { './*.js': entry, './*.ts': entry, './package.json': './package.json' },
  }
}

/** @param out is emptied first */
export function pack(out: string): void {
  const files = sources()
  rmSync(out, { recursive: true, force: true })
  for (const file of files) {
    if (isAmbient(file)) continue
    const path = join(out, file.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, toJs(stripTypeScriptTypes(readFileSync(join(ROOT, file), 'utf8'))))
  }
  declarations(files, out)
  copyFileSync(join(ROOT, 'README.md'), join(out, 'README.md'))
  writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest(files), undefined, 2)}\n`)
}

if (import.meta.main) {
  const [out] = process.argv.slice(2)
  if (out === undefined) throw new Error('usage: node netlink-ts/pack.ts <folder>')
  pack(out)
}
