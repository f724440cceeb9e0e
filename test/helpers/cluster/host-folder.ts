/** Keeps the folder of a host that has joined, and places it elsewhere; its files name their own paths. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from '../../../cli/install/manifest.ts'

const MANIFEST = 'install.json'
/** Stands for the folder's own path while it is kept. */
const HERE = '@@folder@@'

/** Configuration, conflist, manifest and `data/cluster`, but no log and nothing that a gateway learned. */
const KEPT = ['flatnet.yaml', MANIFEST, 'cni', 'data/cluster']

function rewrite(folder: string, from: string, to: string): void {
  const conflists = readdirSync(join(folder, 'cni')).map((name) => join('cni', name))
  for (const file of ['flatnet.yaml', MANIFEST, ...conflists]) {
    const path = join(folder, file)
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(from, to))
  }
}

/** Copies the kept part of a stopped host's folder. */
export function keepFolder(from: string, to: string): void {
  for (const name of KEPT) cpSync(join(from, name), join(to, name), { recursive: true })
  rewrite(to, from, HERE)
}

/**
 * Copies a kept folder to where a host lives, as if the commands had been run there.
 * @param edit changes flatnet.yaml on the way, as an operator would have before the start
 */
export function placeFolder(kept: string, to: string, edit: (conf: string) => string = (conf) => conf): void {
  cpSync(kept, to, { recursive: true })
  rewrite(to, HERE, to)
  const conf = join(to, 'flatnet.yaml')
  writeFileSync(conf, edit(readFileSync(conf, 'utf8')))
  // The manifest has a hash of each file, whose content has just changed.
  const manifest = JSON.parse(readFileSync(join(to, MANIFEST), 'utf8'))
  for (const made of manifest.made) {
    if (!existsSync(made.path)) continue
    made.sha256 = sha256(readFileSync(made.path, 'utf8'))
  }
  writeFileSync(join(to, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`)
}
