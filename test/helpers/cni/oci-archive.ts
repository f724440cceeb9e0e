/** Packs a root file system as an image that `ctr images import` takes: no registry is asked. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface ImageOptions {
  /** Of one layer. */
  readonly rootTar: string
  /** With registry and tag, e.g. `localhost/flatnet-test:1`. */
  readonly name: string
  /** What a container of it runs. */
  readonly command: readonly string[]
}

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** Writes `archive` in the form of `docker save` (image-spec v1.2 of Moby): a layer, its config, and a manifest. */
export function writeImage(archive: string, { rootTar, name, command }: ImageOptions): void {
  const layer = readFileSync(rootTar)
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Cmd: command, Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
  })
  const configFile = `${sha256(config)}.json`
  const folder = mkdtempSync(join(tmpdir(), 'ft-archive-'))
  mkdirSync(join(folder, 'layer'))
  copyFileSync(rootTar, join(folder, 'layer/layer.tar'))
  writeFileSync(join(folder, configFile), config)
  const manifest = [{ Config: configFile, RepoTags: [name], Layers: ['layer/layer.tar'] }]
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest))
  const packed = spawnSync('tar', ['-C', folder, '-cf', archive, 'manifest.json', configFile, 'layer'])
  rmSync(folder, { recursive: true })
  if (packed.status !== 0) throw new Error(`tar: exit ${packed.status}: ${packed.stderr}`)
}
