/** One block file: the leases of 16 addresses, checked when read, replaced durably when written. */

import { readFileSync } from 'node:fs'
import { LowSync, type SyncAdapter } from 'lowdb'
import type { Ipv4 } from '../../core/addr.ts'
import type { Millis } from '../../core/clock.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import { replaceFile } from '../../kernel/durable.ts'
import { PRIVATE_FILE } from '../../kernel/private.ts'
import type { Lease } from '../lease.ts'
import { BLOCK_SIZE, isOldBlock, OLD_BLOCK_SIZE } from './layout.ts'
import { leaseProblem } from './lease-check.ts'
import { ipIn } from './octet.ts'

const VERSION = 2

/** What a file of any version says. */
export interface Leases {
  /** By address. */
  readonly leases: Record<string, Lease>
  /** When each address that was ever held and is free now was given back. */
  readonly released: Record<string, Millis>
  /** The address that was chosen last without being asked for. */
  cursor?: string
  /** Boot id under which this block was rebuilt without its keys: a free address may have an unknown holder. */
  unsure?: string
}

export interface Block extends Leases {
  readonly version: typeof VERSION
}

export const emptyBlock = (): Block => ({ version: VERSION, leases: {}, released: {} })

/** A block whose content cannot be used as it is; `salvage` are the leases in it that are whole. */
export class BrokenBlock extends Error {
  override readonly name = 'BrokenBlock'
  readonly salvage: readonly Lease[]
  /** Whether it is of version 1 and holds 256 addresses; false for a file that is not JSON and does not say. */
  readonly isOld: boolean
  constructor(
    problem: string,
    salvage: readonly Lease[] = [],
    { isOld = false, ...options }: ErrorOptions & { isOld?: boolean } = {},
  ) {
    super(problem, options)
    this.salvage = salvage
    this.isOld = isOld
  }
}

/**
 * An intact block of version 1: 256 addresses from the one in its name on. Block files of those addresses are ignored.
 */
export class OldBlock extends Error {
  override readonly name = 'OldBlock'
  readonly content: Leases
  constructor(content: Leases) {
    super('it is of version 1')
    this.content = content
  }
}

export type BlockDb = LowSync<Block>

/** @param fsync of its writes; see `activate` for the one place that does without */
export function openBlock(path: string, base: Ipv4, network: string, fsync = true): BlockDb {
  return new LowSync<Block>(new BlockFile(path, base, network, fsync), emptyBlock())
}

/** lowdb's own file adapter has a fixed temp name and no fsync, and trusts what it reads. */
class BlockFile implements SyncAdapter<Block> {
  readonly #path: string
  readonly #base: Ipv4
  readonly #network: string
  readonly #fsync: boolean
  constructor(path: string, base: Ipv4, network: string, fsync: boolean) {
    this.#path = path
    this.#base = base
    this.#network = network
    this.#fsync = fsync
  }

  /** @throws {BrokenBlock} @throws {OldBlock} */
  read(): Block | null {
    let text: string
    try {
      text = readFileSync(this.#path, 'utf8')
    } catch (err) {
      if (hasCode(err, 'ENOENT')) return null
      if (hasCode(err, 'EIO', 'EISDIR')) throw new BrokenBlock('it cannot be read', [], { cause: err })
      throw err
    }
    return parseBlock(text, this.#base, this.#network, this.#path)
  }

  write(block: Block): void {
    replaceFile(this.#path, `${JSON.stringify(block)}\n`, {
      fsync: this.#fsync,
      mode: PRIVATE_FILE,
      isLocked: true,
    })
  }
}

function parseBlock(text: string, base: Ipv4, network: string, path: string): Block {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new BrokenBlock(text === '' ? 'it is empty' : 'it is not JSON', [], { cause })
  }
  if (!isRecord(json)) throw new BrokenBlock('it is not a block of leases')
  const { version, leases, released, cursor, unsure } = json
  if (typeof version === 'number' && version > VERSION) {
    throw new FlatnetError(
      'ERR_FLATNET_STORE',
      `${path} was written by a newer Flatnet (version ${version}); install that one, ` +
        'or move the file away when no container of the network runs',
    )
  }
  const isOld = isOldBlock(version, base)
  const size = isOld ? OLD_BLOCK_SIZE : BLOCK_SIZE
  const problems: string[] = []
  const good: Lease[] = []
  for (const [ip, lease] of Object.entries(isRecord(leases) ? leases : {})) {
    const problem = leaseProblem(lease, ip, base, network, size)
    if (problem === undefined) good.push(lease as unknown as Lease)
    else problems.push(`lease ${ip}: ${problem}`)
  }
  if (version !== VERSION && !isOld) problems.push('it has no version')
  if (!isRecord(leases)) problems.push('it has no leases')
  if (!isReleased(released, base, size)) problems.push('its release times are not times of its addresses')
  if (cursor !== undefined && !isIpIn(cursor, base, size))
    problems.push('its cursor is not one of its addresses')
  if (unsure !== undefined && typeof unsure !== 'string') problems.push('its boot id is not a string')
  if (problems.length > 0) throw new BrokenBlock(problems.slice(0, 3).join('; '), good, { isOld })
  if (isOld) throw new OldBlock(json as unknown as Leases)
  return json as unknown as Block
}

function isReleased(value: unknown, base: Ipv4, size: number): boolean {
  if (!isRecord(value)) return false
  for (const ip of Object.keys(value))
    if (!isIpIn(ip, base, size) || !Number.isFinite(value[ip])) return false
  return true
}

const isIpIn = (value: unknown, base: Ipv4, size: number): boolean =>
  typeof value === 'string' && ipIn(base, value, size) !== undefined

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
