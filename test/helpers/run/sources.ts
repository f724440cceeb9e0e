/** The source files of this repository, for tests about all of them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../../..')
const FOLDERS = [
  'bench',
  'bin',
  'build',
  'cli',
  'conf',
  'core',
  'gateway',
  'ipam',
  'kernel',
  'netlink-ts',
  'plugin',
  'registrar',
  'test',
]

/** Paths from the root, sorted; node_modules and test fixtures made at run time are not among them. */
export function sources(ext = '.ts'): string[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith(ext) && !file.includes('node_modules'))
      .map((file) => join(folder, file)),
  ).sort()
}

/** The absolute path of a file of the repository. */
export const inRepo = (file: string): string => join(ROOT, file)

/** docs/operations.md and the pages it leads to, one after the other. */
export const operationsText = (): string =>
  ['docs/operations.md', ...readdirSync(inRepo('docs/operations')).map((name) => `docs/operations/${name}`)]
    .map((file) => readFileSync(inRepo(file), 'utf8'))
    .join('\n')
