/**
 * Makes a lease store what releases up to 2026-11-25 left: a file for 256 addresses, keys that are signed for their
 * boot alone.
 */
import { existsSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { blockFiles } from './damage.ts'

interface RawBlock {
  readonly leases: object
  readonly released: object
  readonly cursor?: string
  readonly unsure?: string
}

/** Blocks that cannot be read stay as they are. */
export function makeOld(folder: string): void {
  const heads = new Map<string, RawBlock>()
  for (const path of blockFiles(folder)) {
    const block = readOr(path)
    if (block === undefined) continue
    const head = basename(path).replace(/\.\d+\.json$/, '.0.json')
    const { leases, released, ...rest } = heads.get(head) ?? { leases: {}, released: {} }
    heads.set(head, {
      ...rest,
      ...block,
      leases: { ...leases, ...block.leases },
      released: { ...released, ...block.released },
    })
    rmSync(path)
  }
  for (const [name, block] of heads) {
    if (existsSync(join(folder, name))) rmSync(join(folder, name), { recursive: true })
    writeFileSync(join(folder, name), `${JSON.stringify({ ...block, version: 1 })}\n`)
  }
  rmSync(join(folder, 'index'), { force: true })
  const boot = join(folder, 'keys/.boot')
  if (!existsSync(join(folder, 'keys'))) return
  const signed = linkOr(boot)
  if (signed === undefined) return
  rmSync(boot)
  symlinkSync(signed.replace(/^2:/, ''), boot)
  writeFileSync(join(folder, 'index.json'), '{"version":1,"first":1,"last":2,"cursor":0,"blocks":{}}\n')
}

function readOr(path: string): RawBlock | undefined {
  try {
    const block = JSON.parse(readFileSync(path, 'utf8'))
    return typeof block.leases === 'object' && typeof block.released === 'object' ? block : undefined
  } catch {
    return undefined
  }
}

function linkOr(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
