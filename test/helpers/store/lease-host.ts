/** A host for tests of the lease store: its slice, its clock, and a kernel that knows namespaces and links. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { parsePrefix4 } from '../../../core/addr.ts'
import { type Attachment, attachmentKey, hostIfname } from '../../../core/attachment.ts'
import type { Clock, Millis } from '../../../core/clock.ts'
import { FlatnetError } from '../../../core/errors.ts'
import { type Slice, sliceOf } from '../../../ipam/choose/slice.ts'
import { list } from '../../../ipam/inventory.ts'
import { type Acquired, acquire, activate, type LeaseRequest, release } from '../../../ipam/ipam.ts'
import type { Lease } from '../../../ipam/lease.ts'
import type { LiveFacts } from '../../../ipam/stale.ts'
import { openStore, type Store, type StoreOptions } from '../../../ipam/store/store.ts'
import { memoryFolder } from '../run/memory.ts'

export const NETWORK = 'flatnet'

export const attachmentOf = (containerId: string, ifname = 'eth0'): Attachment => ({
  network: NETWORK,
  containerId,
  ifname,
})

/** @param supernet e.g. `10.100.0.0/16` */
export function slice(supernet: string, hostPrefix: number, firstOffset: number, hostId = 1): Slice {
  const prefix = parsePrefix4(supernet)
  if (prefix === undefined) throw new TypeError(supernet)
  const result = sliceOf({ supernet: prefix, hostPrefix, hostId, firstOffset })
  if (!result.ok) throw new TypeError(result.problems.join('; '))
  return result.slice
}

/** `10.100.1.10` to `.254`, the default: 16 blocks. */
export const slice24: Slice = slice('10.100.0.0/16', 24, 10)
/** `10.1.0.10` to `10.1.255.254`: 4,096 blocks. */
export const slice16: Slice = slice('10.0.0.0/8', 16, 10)
/** `10.100.0.10` to `.14`: five addresses of one block. */
export const slice29: Slice = slice('10.100.0.0/24', 29, 2)

export class FakeClock implements Clock {
  ms: Millis = Date.parse('2026-03-01T12:00:00Z')
  now(): Millis {
    return this.ms
  }
  monotonic(): Millis {
    return this.ms
  }
}

/** One host: a store on disk, and what its kernel would answer. */
export class FakeHost {
  readonly dataDir: string
  readonly clock = new FakeClock()
  readonly slice: Slice
  readonly options: Partial<StoreOptions>
  bootId = 'boot-1'
  /** Namespace path → inode. */
  readonly netns = new Map<string, string>()
  /** Attachment → the lease that its link stands for. */
  readonly links = new Map<string, Lease>()
  #made = 0

  constructor(dataDir: string, slice: Slice, options: Partial<StoreOptions> = {}) {
    this.dataDir = dataDir
    this.slice = slice
    this.options = options
  }

  /** Opens the store as a new process would, with nothing in memory. */
  store(options: Partial<StoreOptions> = {}): Store {
    const { dataDir, bootId } = this
    const rebuild = (): Lease[] =>
      [...this.links.values()].map((lease) => ({ ...lease, netns: '', netnsInode: '', state: 'active' }))
    return openStore({ dataDir, network: NETWORK, bootId, rebuild, ...this.options, ...options })
  }

  get folder(): string {
    return join(this.dataDir, 'ipam', NETWORK)
  }

  facts(): LiveFacts {
    return {
      bootId: this.bootId,
      netnsInode: (path) => this.netns.get(path),
      isLive: (lease) => this.links.get(attachmentKey(lease))?.ip === lease.ip,
    }
  }

  /** A namespace as Podman makes it for each start. */
  newNetns(): string {
    const path = `/run/netns/n${++this.#made}`
    this.netns.set(path, `4:${1000 + this.#made}`)
    return path
  }

  request(containerId: string, more: Partial<LeaseRequest> = {}): LeaseRequest {
    const attachment = more.attachment ?? attachmentOf(containerId)
    const netns = more.netns ?? this.newNetns()
    return {
      slice: this.slice,
      attachment,
      netns,
      inode: this.netns.get(netns) ?? 'none',
      hostIfname: hostIfname(attachment),
      createdAt: new Date(this.clock.ms).toISOString(),
      inUse: (ip) => [...this.links.values()].some((lease) => lease.ip === ip),
      ...this.facts(),
      ...more,
    }
  }

  acquire(containerId: string, more: Partial<LeaseRequest> = {}): Acquired {
    return acquire(this.store(), this.request(containerId, more), this.clock)
  }

  /** The whole ADD: address, link, active. An earlier link of the attachment goes first, as the plugin does it. */
  add(containerId: string, more: Partial<LeaseRequest> = {}): Lease {
    const { lease } = this.acquire(containerId, more)
    this.links.set(attachmentKey(lease), lease)
    return activate(this.store(), lease)
  }

  /** The whole DEL: link, then lease. */
  del(containerId: string): Lease | undefined {
    this.links.delete(attachmentKey(attachmentOf(containerId)))
    return release(this.store(), attachmentOf(containerId), this.clock)
  }

  /** The container dies without a DEL: its namespace goes, and its link with it. */
  kill(containerId: string): void {
    const lease = this.links.get(attachmentKey(attachmentOf(containerId)))
    if (lease !== undefined) this.netns.delete(lease.netns)
    this.links.delete(attachmentKey(attachmentOf(containerId)))
  }

  reboot(): void {
    this.bootId = `boot-${Number(this.bootId.slice(5)) + 1}`
    this.netns.clear()
    this.links.clear()
  }

  list(): Lease[] {
    return list(this.store())
  }

  ips(): string[] {
    return this.list().map((lease) => lease.ip)
  }

  /** Names in the store's folder, temp files and keys included. */
  files(): string[] {
    return readdirSync(this.folder, { recursive: true, encoding: 'utf8' }).sort()
  }

  text(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8')
  }
}

/** A fresh host whose folder goes with the test. */
export function fakeHost(
  t: Pick<Test, 'teardown'>,
  of: Slice = slice24,
  options: Partial<StoreOptions> = {},
): FakeHost {
  const dataDir = mkdtempSync(join(memoryFolder(), 'flatnet-ipam-'))
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }))
  return new FakeHost(dataDir, of, options)
}

/** @returns the error of a call that has to refuse */
export function refusal(fn: () => unknown): FlatnetError {
  try {
    fn()
  } catch (err) {
    if (err instanceof FlatnetError) return err
    throw err
  }
  throw new Error('it was not refused')
}
