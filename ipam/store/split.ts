/**
 * Makes blocks of 16 addresses from those of 256 that releases up to 2026-11-25 wrote.
 *
 * The parts first, then the head in the place of the old block: until that rename the old block is the truth and its
 * parts count for nothing, so a kill at any instant only makes the next one begin again. The parts are not synced: a
 * loss of power makes every lease stale (see `activate`).
 */

import { existsSync, unlinkSync } from 'node:fs'
import type { Ipv4 } from '../../core/addr.ts'
import { hasCode } from '../../core/errors.ts'
import { type Block, BrokenBlock, emptyBlock, type Leases, OldBlock, openBlock } from './block.ts'
import { BLOCK_SIZE, blockBaseOf, headOf, OLD_BLOCK_SIZE } from './layout.ts'
import { ipIn, ipv4 } from './octet.ts'
import { putAside, recoverBlock } from './recover.ts'
import { asideBases, blockPath, type Store } from './store.ts'

/** Every old block. The lock is held, and the keys are those of the old layout, or lost. */
export function splitAll(store: Store): void {
  for (const head of new Set(asideBases(store).map(headOf))) {
    try {
      openBlock(blockPath(store, head), head, store.network).read()
    } catch (err) {
      if (!(err instanceof OldBlock || err instanceof BrokenBlock)) throw err
      splitOld(store, head, err, false)
    }
  }
  removeOldIndex(store)
}

/**
 * @param why the error of reading the head
 * @param keepsParts in a store of today an old block was put back: its parts are newer
 */
export function splitOld(store: Store, head: Ipv4, why: OldBlock | BrokenBlock, keepsParts: boolean): void {
  const isTaken = (part: Ipv4): boolean => keepsParts && existsSync(blockPath(store, part))
  if (why instanceof OldBlock) {
    for (const part of partsOf(head)) if (!isTaken(part)) write(store, part, why.content, false)
    write(store, head, why.content, true)
    return
  }
  // A head that is not JSON may be of version 2: then its parts exist and are valid.
  const isMade = (part: Ipv4): boolean => (!why.isOld && existsSync(blockPath(store, part))) || isTaken(part)
  const isBlind = store.keys.isBlind()
  const known = [...why.salvage.map(({ ip }) => ipv4(ip)), ...store.keys.all().map(({ ip }) => ip)]
  const bases = new Set(known.map(blockBaseOf))
  for (const part of partsOf(head)) {
    if (!isMade(part) && (isBlind || bases.has(part))) recoverBlock(store, part, undefined, why.salvage)
  }
  // The head is recovered, and the old block set aside, when it is read.
}

/** Without the head. */
const partsOf = (head: Ipv4): Ipv4[] =>
  Array.from({ length: OLD_BLOCK_SIZE / BLOCK_SIZE - 1 }, (_, i) => head + (i + 1) * BLOCK_SIZE)

/** An empty one too, in the place of what an earlier attempt may have left. */
function write(store: Store, base: Ipv4, content: Leases, fsync: boolean): void {
  const path = blockPath(store, base)
  const block = partOf(content, base)
  const isEmpty = Object.keys({ ...block.leases, ...block.released }).length === 0 && !block.unsure
  if (isEmpty && !fsync && !existsSync(path)) return
  const db = openBlock(path, base, store.network, fsync)
  db.data = block
  try {
    db.write()
  } catch (err) {
    // A folder has the part's name.
    if (!hasCode(err, 'EISDIR')) throw err
    putAside(path)
    db.write()
  }
}

function partOf({ leases, released, cursor, unsure }: Leases, base: Ipv4): Block {
  const within = <T>(all: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(all).filter(([ip]) => ipIn(base, ip) !== undefined))
  return {
    ...emptyBlock(),
    leases: within(leases),
    released: within(released),
    ...(cursor !== undefined && ipIn(base, cursor) !== undefined && { cursor }),
    ...(unsure !== undefined && { unsure }),
  }
}

function removeOldIndex(store: Store): void {
  const path = `${store.folder}/index.json`
  if (existsSync(path)) unlinkSync(path)
}
