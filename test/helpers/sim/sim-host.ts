/** A gateway's registry and its replication, without sockets and files, on a simulated network. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import type { Assignment } from '../../../core/api.ts'
import { attachmentKey } from '../../../core/attachment.ts'
import type { Millis } from '../../../core/clock.ts'
import { type Log, silentLog } from '../../../core/log.ts'
import { Events, type GatewayEvent } from '../../../gateway/base/events.ts'
import type { ControlMessage } from '../../../gateway/links/types.ts'
import { Registry } from '../../../gateway/registry/registry.ts'
import { Slices } from '../../../gateway/registry/slices.ts'
import type { DropReason, StoredTable } from '../../../gateway/replication/deps.ts'
import type { RecordDecoder } from '../../../gateway/replication/record.ts'
import { Replication } from '../../../gateway/replication/replication.ts'
import { ed25519Signer, ed25519Verifier } from '../../../gateway/replication/sign.ts'
import type { SimNetwork, SimNode } from './network.ts'

export const SLICES = new Slices({ base: 0x0a640000, prefixLen: 16 }, 24)
/** 2026-11-20, as all clocks of the simulation show it at the start unless told otherwise. */
const WALL: Millis = 1_795_000_000_000

export interface SimKeys {
  readonly keyPem: string
  readonly keyId: string
}

export function simKeys(): SimKeys {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const der = publicKey.export({ type: 'spki', format: 'der' })
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    keyId: createHash('sha256').update(der).digest('hex'),
  }
}

/** What survives a process. */
export interface SimDisk {
  epoch: number
  readonly tables: Map<number, StoredTable>
  readonly leases: Map<string, Assignment>
}

export const emptyDisk = (): SimDisk => ({ epoch: 0, tables: new Map(), leases: new Map() })
export const copyOf = (disk: SimDisk): SimDisk => ({
  epoch: disk.epoch,
  tables: new Map(disk.tables),
  leases: new Map(disk.leases),
})

/** Members and their keys, the same for all. */
export type SimMembers = Map<number, string>

export interface SimHostOptions {
  readonly clockMs?: Millis
  readonly keys?: SimKeys
  readonly decoder?: RecordDecoder
  readonly log?: Log
  isReached?(hostId: number): boolean
}

export class SimHost implements SimNode {
  readonly hostId: number
  readonly disk: SimDisk
  readonly registry: Registry
  readonly replication: Replication
  readonly events = new Events()
  readonly seen: GatewayEvent[] = []
  readonly drops = new Map<DropReason, number>()
  /** Changes messages on the network; tests put their own here. */
  tamper: ((from: number, message: ControlMessage) => ControlMessage) | undefined
  readonly #network: SimNetwork

  constructor(
    network: SimNetwork,
    members: SimMembers,
    hostId: number,
    disk: SimDisk,
    { clockMs = 0, keys = simKeys(), decoder, log = silentLog, isReached = () => false }: SimHostOptions = {},
  ) {
    const scheduler = network.time.scheduler(() => WALL + clockMs)
    this.hostId = hostId
    this.disk = disk
    this.#network = network
    disk.epoch = Math.max(disk.epoch, Math.floor(scheduler.now() / 1000)) + 1
    this.registry = new Registry(hostId, disk.epoch, this.events, SLICES, scheduler)
    for (const lease of disk.leases.values()) this.registry.put(lease)
    const identity = { cluster: 'sim', keyPem: keys.keyPem }
    this.replication = new Replication({
      registry: this.registry,
      slices: SLICES,
      events: this.events,
      scheduler,
      random: network.random,
      log,
      signer: ed25519Signer(() => identity),
      verifier: ed25519Verifier('sim'),
      newNonce: () =>
        Array.from({ length: 32 }, () => Math.floor(network.random() * 16).toString(16)).join(''),
      saveEpoch: (epoch) => {
        disk.epoch = epoch
      },
      keyIdOf: (id) => members.get(id),
      send: (to, message) => network.send(this, to, message),
      isReached,
      dropped: (reason) => this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1),
      ...(decoder !== undefined && { decoder }),
      store: {
        save: async (table) => {
          disk.tables.set(table.hostId, table)
        },
        remove: async (id) => {
          disk.tables.delete(id)
        },
      },
    })
    this.replication.restore([...disk.tables.values()])
    this.replication.start()
    network.add(this)
  }

  /** Events from now on are kept in `seen`. */
  follow(): this {
    this.events.listen(({ event }) => this.seen.push(event))
    return this
  }

  put(assignment: Assignment): void {
    this.disk.leases.set(attachmentKey(assignment), assignment)
    this.registry.put(assignment)
    this.replication.localChanged()
  }

  remove(key: string): void {
    this.disk.leases.delete(key)
    this.registry.remove(key)
    this.replication.localChanged()
  }

  /** kill -9. */
  crash(): void {
    this.#network.remove(this)
    void this.replication.stop()
  }

  up(hostId: number): void {
    this.replication.peerUp(hostId)
  }

  down(hostId: number): void {
    this.replication.peerDown(hostId)
  }

  receive(hostId: number, message: ControlMessage): void {
    this.replication.receive(hostId, this.tamper?.(hostId, message) ?? message)
  }
}

/** The n-th container of a host. */
export function container(hostId: number, n: number, more: Partial<Assignment> = {}): Assignment {
  const id = createHash('sha256').update(`${hostId} ${n}`).digest('hex')
  return {
    network: 'flatnet',
    containerId: id,
    ifname: 'eth0',
    hostId,
    ips: [`10.100.${hostId}.${n}/24`],
    mac: `0a:64:0a:64:${hex(hostId)}:${hex(n)}`,
    name: `web-${hostId}-${n}`,
    aliases: [],
    ports: [],
    httpPort: 80,
    createdAt: '2026-11-20T13:00:00.000Z',
    ...more,
  }
}

const hex = (n: number): string => n.toString(16).padStart(2, '0')

/** What a host knows about another one, in a comparable form. */
export const tableOf = (host: SimHost, of: number): string[] =>
  host.registry
    .all(of)
    .map((a) => `${attachmentKey(a)} ${a.ips.join(',')} ${a.name}`)
    .sort()

/** Whether all hosts have each other's tables. Compares versions first, which is cheap. */
export function agree(hosts: readonly SimHost[]): boolean {
  return hosts.every((owner) => {
    const own = owner.registry.version(owner.hostId)
    return hosts.every((h) => {
      const version = h.registry.version(owner.hostId)
      return version?.epoch === own?.epoch && version?.seq === own?.seq
    })
  })
}
