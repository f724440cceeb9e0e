/**
 * The record of each network of this host, `<dataDir>/networks/<name>.json`: two never own one slice.
 *
 * ADD writes it when a network is first used or changed; the gateway reads which bridges and rules to maintain.
 */

import { mkdirSync, readdirSync, readFileSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { contains, overlaps, type Prefix4, parseIpv4, parsePrefix4 } from '../core/addr.ts'
import { isName } from '../core/attachment.ts'
import type { Millis } from '../core/clock.ts'
import { FlatnetError, hasCode } from '../core/errors.ts'
import { replaceFile, sweepTemps } from '../kernel/durable.ts'
import { withFlock } from '../kernel/flock.ts'
import { closeToOthers, PRIVATE_FILE, PRIVATE_FOLDER } from '../kernel/private.ts'
import { list, listNetworks } from './inventory.ts'
import { openStore } from './store/store.ts'

export interface NetworkRecord {
  readonly network: string
  /** Absent for delegated IPAM, where another plugin owns bridge and rules. */
  readonly bridge?: string
  /** CIDR. */
  readonly supernet: string
  readonly slice: string
  readonly masquerade: boolean
  /** Absent in records of older versions, and for delegated IPAM: false. */
  readonly hostAccess?: boolean
  /** Absent in records of older versions, and for delegated IPAM: not known. */
  readonly antiSpoof?: boolean
  /** DNS servers that the gateway asks for this network's containers; absent: the host's. */
  readonly nameservers?: readonly string[]
}

const folderOf = (dataDir: string): string => join(dataDir, 'networks')
const LOCKED = { fsync: true, mode: PRIVATE_FILE, isLocked: true }
const textOf = (record: NetworkRecord): string => `${JSON.stringify(record, null, 2)}\n`

/**
 * One small read when nothing changed.
 * @param until as of `StoreOptions.lockUntil`
 * @throws {FlatnetError} ERR_FLATNET_CONFIG: another network of this host that holds leases owns (part of) the slice
 */
export function ensureNetwork(dataDir: string, record: NetworkRecord, until?: Millis): void {
  const path = `${folderOf(dataDir)}/${record.network}.json`
  if (readText(path) === textOf(record)) return
  try {
    mkdirSync(folderOf(dataDir), { recursive: true, mode: PRIVATE_FOLDER })
    closeToOthers(folderOf(dataDir))
    withFlock(join(dataDir, 'networks.lock'), until === undefined ? {} : { until }, () => {
      sweepTemps(folderOf(dataDir))
      refuseOverlap(dataDir, record)
      replaceFile(path, textOf(record), LOCKED)
    })
  } catch (err) {
    if (err instanceof FlatnetError) throw err
    throw new FlatnetError('ERR_FLATNET_STORE', `the network's record ${path} cannot be written`, {
      cause: err,
    })
  }
}

/**
 * To be called once the lease is on disk: see `refuseOverlap`.
 * @throws {FlatnetError} ERR_FLATNET_TRY_AGAIN: another network took the slice over meanwhile
 */
export function confirmNetwork(dataDir: string, record: NetworkRecord): void {
  if (readText(`${folderOf(dataDir)}/${record.network}.json`) === textOf(record)) return
  throw new FlatnetError(
    'ERR_FLATNET_TRY_AGAIN',
    `network ${record.network} was changed meanwhile; try again`,
  )
}

/** What an older version left readable to all users, of all networks; the gateway calls it at its start. */
export function closeStores(dataDir: string): void {
  for (const folder of ['ipam', 'networks']) closeToOthers(join(dataDir, folder))
}

/** Unreadable ones are left out: the next ADD of their network writes them anew. */
export function listRecords(dataDir: string): NetworkRecord[] {
  let names: string[]
  try {
    names = readdirSync(folderOf(dataDir))
  } catch (err) {
    if (hasCode(err, 'ENOENT')) return []
    throw err
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => read(`${folderOf(dataDir)}/${name}`))
}

function refuseOverlap(dataDir: string, record: NetworkRecord): void {
  const own = parsePrefix4(record.slice)
  for (const other of overlapping(dataDir, record)) {
    // A network that was renamed or removed has no leases left: its record goes. First the record, then the look at its
    // leases: an ADD of that network writes its lease and then looks at the record, so one of the two sees the other.
    const path = `${folderOf(dataDir)}/${other.network}.json`
    unlinkSync(path)
    if (list(openStore({ dataDir, network: other.network })).length === 0) continue
    replaceFile(path, textOf(other), LOCKED)
    throw doubled(record, other.network)
  }
  if (own !== undefined) refuseHeld(dataDir, record, own)
}

/** Records are not enough: when a network's hostId changes, its old leases stay in the old slice. */
function refuseHeld(dataDir: string, record: NetworkRecord, own: Prefix4): void {
  for (const network of listNetworks(dataDir)) {
    if (network === record.network) continue
    const held = list(openStore({ dataDir, network })).find((lease) =>
      contains(own, parseIpv4(lease.ip) ?? -1),
    )
    if (held !== undefined) throw doubled(record, network)
  }
}

function overlapping(dataDir: string, record: NetworkRecord): NetworkRecord[] {
  const own = parsePrefix4(record.slice)
  return listRecords(dataDir).filter((other) => {
    const slice = parsePrefix4(other.slice)
    return (
      other.network !== record.network && own !== undefined && slice !== undefined && overlaps(own, slice)
    )
  })
}

/**
 * What `ensureNetwork` would refuse; changes nothing. For STATUS.
 * @throws {FlatnetError} ERR_FLATNET_CONFIG
 */
export function refuseNetwork(dataDir: string, record: NetworkRecord): void {
  const own = parsePrefix4(record.slice)
  for (const other of overlapping(dataDir, record)) {
    if (list(openStore({ dataDir, network: other.network })).length > 0) throw doubled(record, other.network)
  }
  if (own !== undefined) refuseHeld(dataDir, record, own)
}

const doubled = (record: NetworkRecord, other: string): FlatnetError =>
  new FlatnetError(
    'ERR_FLATNET_CONFIG',
    `network ${record.network} has the slice ${record.slice}, ` +
      `and network ${other} of this host holds addresses of it: ` +
      'give one of them another ipam.hostId or ipam.supernet',
  )

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (err) {
    if (hasCode(err, 'ENOENT')) return undefined
    throw new FlatnetError('ERR_FLATNET_STORE', `the network's record ${path} cannot be read`, { cause: err })
  }
}

function read(path: string): NetworkRecord[] {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return isRecord(value) ? [value] : []
  } catch {
    return []
  }
}

function isRecord(value: unknown): value is NetworkRecord {
  if (typeof value !== 'object' || value === null) return false
  const { network, bridge, supernet, slice, masquerade, hostAccess, antiSpoof, nameservers } =
    value as Partial<Record<keyof NetworkRecord, unknown>>
  return (
    typeof network === 'string' &&
    isName(network) &&
    (bridge === undefined || typeof bridge === 'string') &&
    [supernet, slice].every((p) => typeof p === 'string' && parsePrefix4(p) !== undefined) &&
    typeof masquerade === 'boolean' &&
    [hostAccess, antiSpoof].every((flag) => flag === undefined || typeof flag === 'boolean') &&
    (nameservers === undefined ||
      (Array.isArray(nameservers) && nameservers.every((s) => typeof s === 'string')))
  )
}
