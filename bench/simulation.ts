/**
 * Runs 254 gateways in one process with virtual time: how soon all know of a change, and what it costs.
 *
 * `node --max-old-space-size=12288 bench/simulation.ts [hosts]`; with `--memory` it measures one gateway alone,
 * with `--brief` neither a partition nor a quiet minute.
 * The last line is JSON with the figures for claims.
 */

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Assignment } from '../core/api.ts'
import { attachmentKey } from '../core/attachment.ts'
import { silentLog } from '../core/log.ts'
import { Events } from '../gateway/base/events.ts'
import { systemScheduler } from '../gateway/base/scheduler.ts'
import type { ControlMessage } from '../gateway/links/types.ts'
import { Registry } from '../gateway/registry/registry.ts'
import { type BadRecord, type RecordDecoder, WireDecoder } from '../gateway/replication/record.ts'
import { Replication } from '../gateway/replication/replication.ts'
import { ed25519Verifier } from '../gateway/replication/sign.ts'
import { SimNetwork, SimTime, seeded } from '../test/helpers/sim/network.ts'
import {
  agree,
  container,
  emptyDisk,
  SimHost,
  type SimMembers,
  SLICES,
  simKeys,
} from '../test/helpers/sim/sim-host.ts'

const FIRST = 10
const EACH = 244
const CHANGES = 1000

/** Messages go by reference, so all hosts share the decoded records; 254 copies would need 10 GB. */
class SharedDecoder implements RecordDecoder {
  readonly #decoder = new WireDecoder(SLICES)
  readonly #made = new WeakMap<object, Assignment | BadRecord>()

  decode(value: unknown, hostId: number): Assignment | BadRecord {
    const known = this.#made.get(value as object)
    if (known !== undefined) return known
    const made = this.#decoder.decode(value, hostId)
    this.#made.set(value as object, made)
    return made
  }
}

const print = (what: string, value: string): void => {
  process.stdout.write(`${what.padEnd(58)}${value}\n`)
}

const MB = 1_048_576
const mb = (bytes: number): string => `${Math.round(bytes / MB)} MB`

/** The figures of one run; memory in MiB. */
export interface SimulationFigures {
  readonly changesMs: number
  readonly memoryMiB: number
}

class Simulation {
  readonly time = new SimTime()
  readonly network: SimNetwork
  readonly hosts: SimHost[] = []
  readonly #random = seeded(7)

  constructor(count: number) {
    this.network = new SimNetwork(this.time, seeded(1), { delayMs: 1, loss: 0.001 })
    const members: SimMembers = new Map()
    const decoder = new SharedDecoder()
    for (let id = 1; id <= count; id++) {
      const keys = simKeys()
      members.set(id, keys.keyId)
      const disk = emptyDisk()
      for (let n = FIRST; n < FIRST + EACH; n++) {
        const assignment = container(id, n)
        disk.leases.set(attachmentKey(assignment), assignment)
      }
      this.hosts.push(new SimHost(this.network, members, id, disk, { keys, decoder }))
    }
  }

  change(): void {
    const host = this.hosts[Math.floor(this.#random() * this.hosts.length)]!
    const n = FIRST + Math.floor(this.#random() * EACH)
    const known = host.registry.byIp(`10.100.${host.hostId}.${n}`)
    if (known === undefined) host.put(container(host.hostId, n))
    else host.remove(attachmentKey(known))
  }

  /** Prints simulated and real time until all hosts agree. */
  measure(what: string, act: () => void, limitMs: number): number {
    const cpu = process.cpuUsage()
    const messages = this.network.messages
    act()
    const tookMs = this.time.runUntil(() => agree(this.hosts), limitMs, 5)
    const { user, system } = process.cpuUsage(cpu)
    const cpuMs = (user + system) / 1000
    const each = cpuMs / this.hosts.length
    print(
      what,
      `${tookMs === undefined ? `NOT within ${limitMs} ms` : `${tookMs} ms`} simulated, CPU ${Math.round(cpuMs)} ms ` +
        `(${each.toFixed(1)} each), ${this.network.messages - messages} messages`,
    )
    if (tookMs === undefined) process.exitCode = 1
    this.#verify()
    return tookMs ?? Number.POSITIVE_INFINITY
  }

  /** Compares content, not only versions. */
  #verify(): void {
    const drops = new Map<string, number>()
    for (const [i, owner] of this.hosts.entries()) {
      const truth = owner.registry.all(owner.hostId)
      const other = this.hosts[(i * 97 + 13) % this.hosts.length]!
      const isEqual =
        other.registry.sizeOf(owner.hostId) === truth.length &&
        truth.every((a) => other.registry.byIp(a.ips[0]!.split('/')[0]!)?.containerId === a.containerId)
      if (!isEqual) throw new Error(`host ${other.hostId} has another table of host ${owner.hostId}`)
      for (const [reason, n] of owner.drops) drops.set(reason, (drops.get(reason) ?? 0) + n)
    }
    const text = [...drops].map(([reason, n]) => `${reason} ${n}`).join(', ')
    if (text !== '') print('  dropped so far', text)
  }
}

/** @returns simulated time until all hosts knew of 1,000 changes made at once */
function simulate(count: number, isBrief: boolean): number {
  const made = performance.now()
  const s = new Simulation(count)
  print(`${count} hosts, ${count * EACH} assignments made`, `${Math.round(performance.now() - made)} ms`)
  s.measure('all start at once and meet', () => {}, 30_000)
  s.time.run(15_000)
  const changesMs = s.measure(
    `${CHANGES} changes at once`,
    () => {
      for (let i = 0; i < CHANGES; i++) s.change()
    },
    5_000,
  )
  s.time.run(1000)
  s.measure(
    `${CHANGES} changes in 10 s, after the last`,
    () => {
      for (let i = 0; i < CHANGES; i++) {
        s.change()
        s.time.run(10)
      }
    },
    5_000,
  )
  if (isBrief) return changesMs
  s.measure(
    `partition in halves, ${CHANGES} changes, after healing`,
    () => {
      s.network.allow((a, b) => a.hostId % 2 === b.hostId % 2)
      s.time.run(4000)
      for (let i = 0; i < CHANGES; i++) s.change()
      s.time.run(30_000)
      s.network.allow(() => true)
    },
    10_000,
  )
  const cpu = process.cpuUsage()
  s.time.run(60_000)
  const { user, system } = process.cpuUsage(cpu)
  print('a minute in which nothing happens', `CPU ${((user + system) / 1000 / count).toFixed(1)} ms each`)
  print('memory of the simulation', mb(process.memoryUsage.rss()))
  return changesMs
}

/** Measures one gateway that reads every table from stdin, one line each, as it would from its links. */
async function measureMemory(count: number): Promise<void> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  gc()
  const before = process.memoryUsage()
  const events = new Events()
  const registry = new Registry(1, 1, events, SLICES)
  const members = new Map<number, string>()
  const replication = new Replication({
    registry,
    slices: SLICES,
    events,
    scheduler: systemScheduler(),
    random: Math.random,
    log: silentLog,
    signer: { sign: () => ({ sig: 'AAAA', key: 'AAAA' }) },
    verifier: ed25519Verifier('sim'),
    newNonce: () => '0'.repeat(32),
    saveEpoch() {},
    keyIdOf: (hostId) => members.get(hostId),
    send: () => true,
    isReached: () => false,
    dropped: (reason) => {
      throw new Error(`dropped: ${reason}`)
    },
  })
  const cpu = process.cpuUsage()
  for await (const line of createInterface({ input: process.stdin })) {
    const message = JSON.parse(line) as ControlMessage
    const id = Number(message['hostId'])
    members.set(id, `${id}`)
    replication.peerUp(id)
    replication.receive(id, message)
  }
  const { user, system } = process.cpuUsage(cpu)
  const rss = process.memoryUsage.rss()
  gc()
  const after = process.memoryUsage()
  print(`one gateway with ${count} hosts, ${registry.size} assignments`, '')
  print('  heap in use beyond that of the empty process', mb(after.heapUsed - before.heapUsed))
  print('  resident before; after, and after a collection', `${mb(before.rss)}; ${mb(rss)}, ${mb(after.rss)}`)
  print('  to read all tables', `CPU ${Math.round((user + system) / 1000)} ms`)
  process.stdout.write(`${Math.max(rss, after.rss) / MB}\n`)
}

/** Bundles the code, as in the product: stripping types at run time costs 40 MB more. */
async function spawnMemory(count: number): Promise<number> {
  // Imported here, since the bundle of this file that is measured has no esbuild.
  const { buildSync } = await import('esbuild')
  const folder = mkdtempSync(join(tmpdir(), 'flatnet-simulation-'))
  const outfile = join(folder, 'memory.mjs')
  buildSync({
    entryPoints: [import.meta.filename],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['esbuild'],
    // CommonJS packages such as yaml load Node's modules by it.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
  })
  const tables = Array.from({ length: count - 1 }, (_, i) => tableText(i + 2))
  const child = spawnSync(process.execPath, [outfile, `${count}`, '--memory'], {
    input: `${tables.join('\n')}\n`,
    stdio: ['pipe', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  rmSync(folder, { recursive: true })
  if (child.status !== 0) process.exitCode = 1
  const lines = child.stdout.trimEnd().split('\n')
  process.stdout.write(`${lines.slice(0, -1).join('\n')}\n`)
  return Number(lines.at(-1))
}

const PORTS = [['tcp', '', 8080, 80]]

function tableText(hostId: number): string {
  const records = Array.from({ length: EACH }, (_, i) => {
    const a = container(hostId, FIRST + i)
    return [a.network, a.containerId, a.ifname, a.ips, a.mac, a.name, [], PORTS, 80, a.createdAt]
  })
  const claim = { hostId, epoch: 1, seq: 244, nonce: 'a'.repeat(32), hash: 'b'.repeat(64) }
  return JSON.stringify({
    type: 'registry.table',
    ...claim,
    sig: `${'A'.repeat(86)}==`,
    key: 'A'.repeat(60),
    ageMs: 0,
    page: 0,
    pages: 1,
    records,
  })
}

const [argument = '254', mode] = process.argv.slice(2)
if (mode === '--memory') await measureMemory(Number(argument))
else {
  const memoryMiB = await spawnMemory(Number(argument))
  const figures: SimulationFigures = { memoryMiB, changesMs: simulate(Number(argument), mode === '--brief') }
  process.stdout.write(`${JSON.stringify(figures)}\n`)
}
