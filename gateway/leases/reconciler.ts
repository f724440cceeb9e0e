/** Keeps the registry equal to the leases on disk: one run at a time, and never against a newer call. */

import type { DaemonConf } from '../../conf/daemon.ts'
import { isInSlice, parseCidr4, parseIpv4 } from '../../core/addr.ts'
import { attachmentKey, MAX_CONTAINER_ID_BYTES, MAX_NETWORK_BYTES } from '../../core/attachment.ts'
import type { Clock, Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Lease } from '../../ipam/lease.ts'
import { CoalescedTask } from '../base/coalesced-task.ts'
import type { Registry } from '../registry/registry.ts'
import { DELETE_GRACE_MS, difference } from './diff.ts'
import { type KernelView, lackingLeases, reconcileWithKernel } from './kernel-view.ts'
import { assignmentsOf, type LeaseSnapshot, type LeaseSource } from './source.ts'

/** Called with the live leases after each run; nftables and routes are put right here. Must be bounded in time. */
export type Repair = (leases: readonly Lease[]) => Promise<void>

export interface ReconcilerDeps {
  readonly conf: DaemonConf
  readonly registry: Registry
  readonly leases: LeaseSource
  readonly clock: Clock
  readonly log: Log
  readonly repair?: Repair | undefined
  readonly kernelView?: KernelView | undefined
  /** Of reading, and of repairing. */
  readonly deadlineMs?: Millis
}

export interface ReconcileReport {
  /** ISO 8601, UTC. */
  readonly at: string
  readonly durationMs: Millis
  readonly live: number
  readonly stale: number
  readonly put: number
  readonly removed: number
  /** Runs since start, and how many of them failed. */
  readonly runs: number
  readonly failures: number
  /** Of the last run; absent when it went well. */
  readonly problem?: string
}

/** A disk or a kernel that does not answer must not end all later runs; what comes too late is dropped. */
const DEADLINE_MS: Millis = 20_000

/** Calls remembered for the order of things; older ones than the grace are dropped first. */
const MAX_CALLS = 4096
const MAX_KEY_LENGTH = MAX_NETWORK_BYTES + MAX_CONTAINER_ID_BYTES + 20

export class Reconciler {
  readonly #deps: ReconcilerDeps
  readonly #posted = new Map<string, Millis>()
  readonly #deleted = new Map<string, Millis>()
  readonly #runs = new CoalescedTask(() => this.#once())
  #report: ReconcileReport | undefined

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps
  }

  /** Undefined before the first run. */
  get report(): ReconcileReport | undefined {
    return this.#report
  }

  /** To be called before the registry is written by a call. */
  notePosted(key: string): void {
    this.#deleted.delete(key)
    this.#note(this.#posted, key)
  }

  noteDeleted(key: string): void {
    // Longer than any key that Flatnet makes: it names nothing, and strangers' texts are not kept.
    if (key.length > MAX_KEY_LENGTH) return
    this.#posted.delete(key)
    this.#note(this.#deleted, key)
  }

  /** Resolves when a run that began after this call has ended: an earlier one may have read the files too early. */
  run(): Promise<void> {
    return this.#runs.run()
  }

  async #once(): Promise<void> {
    const { clock, log, repair, deadlineMs = DEADLINE_MS } = this.#deps
    const readAt = clock.monotonic()
    const last = this.#report
    let counts = { live: last?.live ?? 0, stale: last?.stale ?? 0, put: 0, removed: 0 }
    let problem: string | undefined
    try {
      const snapshot = await within(this.#snapshot(), deadlineMs, 'reading the leases')
      counts = this.#apply(snapshot, readAt)
      if (snapshot.unreadable.length > 0) {
        problem = `unreadable leases of network ${snapshot.unreadable.map((u) => u.network).join(', ')}`
        log.error({ err: snapshot.unreadable[0]!.cause }, 'leases of a network were unreadable')
      }
      if (repair !== undefined) await within(repair(snapshot.live), deadlineMs, 'repairing')
    } catch (err) {
      problem = err instanceof Error ? err.message : String(err)
      log.error({ err }, 'reconcile failed')
    }
    this.#report = {
      at: new Date(clock.now()).toISOString(),
      durationMs: Math.round((clock.monotonic() - readAt) * 100) / 100,
      ...counts,
      runs: (last?.runs ?? 0) + 1,
      failures: (last?.failures ?? 0) + (problem === undefined ? 0 : 1),
      ...(problem !== undefined && { problem }),
    }
  }

  /** The leases as the kernel confirms them; what lives and had none has one by then. */
  async #snapshot(): Promise<LeaseSnapshot> {
    const { conf, leases, log, registry, kernelView } = this.#deps
    if (kernelView === undefined) return leases.read()
    const links = linksOf(kernelView, log)
    if (links === undefined) return leases.read()
    const snapshot = await leases.read()
    const own = links.filter(({ cidr }) => isInSlice(conf.slice, parseCidr4(cidr)?.ip ?? -1))
    const networks = lackingLeases(own, snapshot)
    if (networks.size === 0) return reconcileWithKernel(links, snapshot)
    try {
      kernelView.adopt(networks, (key) => registry.get(key))
    } catch (cause) {
      // As with a file that cannot be read: what they hold is unknown, and is had in a later run.
      const unreadable = [...networks].map((network) => ({ network, cause }))
      return reconcileWithKernel(links, { ...snapshot, unreadable })
    }
    return reconcileWithKernel(links, await leases.read())
  }

  #apply(
    snapshot: LeaseSnapshot,
    readAt: Millis,
  ): { live: number; stale: number; put: number; removed: number } {
    const { conf, registry, log } = this.#deps
    const own = snapshot.live.filter((l) => isInSlice(conf.slice, parseIpv4(l.ip) ?? -1))
    const { put, remove } = difference({
      wanted: assignmentsOf(own, conf.hostId, conf.hostPrefix),
      registered: registry.all(conf.hostId),
      unreadable: new Set(snapshot.unreadable.map((u) => u.network)),
      readAt,
      postedAt: (key) => this.#posted.get(key),
      deletedAt: (key) => this.#deleted.get(key),
    })
    // Removals first: an address may have gone from one to another.
    for (const key of remove) {
      registry.remove(key)
      log.info({ attachment: key }, 'assignment without lease dropped')
    }
    for (const assignment of put) {
      registry.put(assignment)
      log.info(
        { attachment: attachmentKey(assignment), lease: assignment.ips[0] },
        'assignment taken from lease',
      )
    }
    this.#forget(readAt)
    return { live: own.length, stale: snapshot.stale.length, put: put.length, removed: remove.length }
  }

  #note(calls: Map<string, Millis>, key: string): void {
    calls.delete(key)
    calls.set(key, this.#deps.clock.monotonic())
    const oldest = calls.keys().next().value
    if (calls.size > MAX_CALLS && oldest !== undefined) calls.delete(oldest)
  }

  #forget(readAt: Millis): void {
    for (const calls of [this.#posted, this.#deleted]) {
      for (const [key, at] of calls) if (at + DELETE_GRACE_MS <= readAt) calls.delete(key)
    }
  }
}

/** Undefined when the kernel does not say: then the files alone count, as without a kernel view. */
function linksOf(kernelView: KernelView, log: Log): ReturnType<KernelView['links']> | undefined {
  try {
    return kernelView.links()
  } catch (err) {
    log.warn({ err }, 'the kernel did not tell its links')
    return undefined
  }
}

async function within<T>(work: Promise<T>, ms: Millis, what: string): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`${what} took more than ${ms} ms`)), ms)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
