/**
 * Ways in which files of a lease store come to harm: crashes of the disk, editors, backups put back, other programs.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

/** Each leaves a block file that is unusable as it is. */
export const BLOCK_DAMAGE: Readonly<Record<string, (path: string) => void>> = {
  empty: (path) => truncateSync(path, 0),
  torn: (path) => truncateSync(path, Math.floor(readFileSync(path).length / 2)),
  'full of zeros': (path) => writeFileSync(path, Buffer.alloc(readFileSync(path).length)),
  'not text': (path) => writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00, 0x80])),
  'a list': (path) => writeFileSync(path, '[]'),
  null: (path) => writeFileSync(path, 'null'),
  'of something else': (path) => writeFileSync(path, '{"name":"flatnet","version":"0.1.0"}'),
  'without leases': (path) => writeFileSync(path, '{"version":2,"released":{}}'),
  'with leases as a list': (path) =>
    edit(path, (block) => ({ ...block, leases: Object.values(block.leases) })),
  'of another network': (path) =>
    edit(path, (block) => eachLease(block, (lease) => ({ ...lease, network: 'other' }))),
  'of another block': (path) => edit(path, (block) => renamed(block)),
  'with a lease under another address': (path) =>
    edit(path, (block) => eachLease(block, (lease) => ({ ...lease, ip: '10.9.9.9' }))),
  'with a lease of the wrong type': (path) =>
    edit(path, (block) => eachLease(block, (lease) => ({ ...lease, bootId: 7 }))),
  'with wrong release times': (path) => edit(path, (block) => ({ ...block, released: { x: 'y' } })),
  'a folder': (path) => {
    rmSync(path)
    mkdirSync(path)
  },
}

interface RawBlock {
  readonly leases: Readonly<Record<string, object>>
}

function edit(path: string, change: (block: RawBlock) => object): void {
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')))))
}

const eachLease = (block: RawBlock, change: (lease: object) => object): object => ({
  ...block,
  leases: Object.fromEntries(Object.entries(block.leases).map(([ip, lease]) => [ip, change(lease)])),
})

const renamed = (block: RawBlock): object => ({
  ...block,
  leases: Object.fromEntries(
    Object.entries(block.leases).map(([ip, lease]) => [`192.168.0.${ip.split('.')[3]}`, lease]),
  ),
})

export const blockFiles = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => /^\d+\.\d+\.\d+\.\d+\.json$/.test(name))
        .map((name) => join(folder, name))
    : []

export const setAside = (folder: string): string[] =>
  readdirSync(folder).filter((name) => name.includes('.json.broken-'))
