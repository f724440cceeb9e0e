/**
 * `npm run bench`: measures every claim about speed against other software, in turns, on a private machine.
 *
 * `--quick` takes a few rounds of each; names pick claims: version verbs leases parallel podman podman5 gateway
 * ingress registry dns tunnel p2p restart simulation.
 * Writes bench/results/<time>.json, docs/speed.json and docs/speed.svg (not with --quick or picked claims). Needs root.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { IMAGE } from '../test/helpers/cni/image.ts'
import { type Machine, machine } from '../test/helpers/kernel/machine.ts'
import { type PodmanHost, podmanHost } from '../test/helpers/podman/host.ts'
import { PODMAN4, PODMAN5, type PodmanRuntime } from '../test/helpers/podman/runtime.ts'
import { drawChart } from './chart.ts'
import { benchDns } from './dns.ts'
import { benchGateway, machineFacts } from './gateway.ts'
import { claimP2p, claimSimulation, claimTunnel } from './hosts.ts'
import { benchIngress, renderIngress } from './ingress.ts'
import { benchRegistry } from './registry.ts'
import { benchRestart } from './restart.ts'
import type { Executables, Order } from './spawn.ts'
import { type Claim, isWithin, renderClaim } from './stats.ts'

const ROOT = resolve(import.meta.dirname, '..')
const INSIDE = join(import.meta.dirname, 'inside.ts')
const ALL = [
  'version',
  'verbs',
  'leases',
  'parallel',
  'podman',
  'podman5',
  'gateway',
  'ingress',
  'registry',
  'dns',
  'tunnel',
  'p2p',
  'restart',
  'simulation',
] as const
type Name = (typeof ALL)[number]

export interface Report {
  readonly at: string
  readonly machine: Readonly<Record<string, string>>
  readonly claims: readonly Claim[]
}

function executables(): Executables {
  const empty = join(ROOT, '.build/empty')
  const found = { flatnet: join(ROOT, 'dist/flatnet'), flatnetCni: join(ROOT, 'dist/flatnet-cni'), empty }
  for (const path of [found.flatnet, found.flatnetCni])
    if (!existsSync(path)) throw new Error(`no ${path}: npm run build`)
  if (!existsSync(empty))
    execFileSync(process.execPath, ['build/build.ts', `--empty=${empty}`], { cwd: ROOT })
  return found
}

/** Runs a claim inside, as a real-time process if allowed, so that it does not measure other work of the machine. */
async function inside(m: Machine, order: Order): Promise<Claim[]> {
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', INSIDE, JSON.stringify(order)]
  // Containers cannot be real-time processes (cgroups), and a hundred of those at once would stop the machine.
  const isMany = ['parallel', 'podman', 'podman5'].includes(order.claim)
  const argv = [...(isMany ? ['nice', '-n', '-20'] : ['chrt', '-f', '10']), ...node]
  const { rc, stdout, stderr } = await m.run(argv, { timeoutMs: 300_000 })
  if (rc !== 0) throw new Error(`${order.claim}: ${stderr}`)
  return JSON.parse(stdout)
}

/** Adds a default route, for plugins that look for one. */
async function uplink(m: Machine): Promise<void> {
  await m.neighbour('up')
}

class Bench {
  readonly #teardowns: (() => unknown)[] = []
  readonly #executables = executables()
  readonly isQuick: boolean
  constructor(isQuick: boolean) {
    this.isQuick = isQuick
  }

  readonly #t = { teardown: (fn: () => unknown) => void this.#teardowns.push(fn) }

  #podmanHost(runtime: PodmanRuntime): Promise<PodmanHost> {
    const plugin = { name: 'flatnet-cni', path: this.#executables.flatnetCni, hasCli: false }
    return podmanHost(this.#t as never, plugin, { runtime })
  }

  async run(name: Name): Promise<Claim[]> {
    if (name === 'gateway') return [await benchGateway(await machine(this.#t as never), this.isQuick)]
    if (name === 'ingress') return [await this.#ingress()]
    if (name === 'podman') return this.#podmanRun(name, PODMAN4)
    if (name === 'podman5') return this.#podmanRun(name, PODMAN5)
    if (name === 'registry') return [await benchRegistry(this.isQuick)]
    if (name === 'dns') return [await benchDns(this.isQuick)]
    if (name === 'tunnel') return [await claimTunnel(this.isQuick)]
    if (name === 'p2p') return [await claimP2p(this.isQuick)]
    if (name === 'restart') return [await benchRestart(this.isQuick)]
    if (name === 'simulation') return [claimSimulation()]
    const m = await machine(this.#t as never)
    await uplink(m)
    const dir = join(m.dir, 'bench')
    const order = { claim: name, executables: this.#executables, dir, isQuick: this.isQuick }
    return inside(m, order)
  }

  async #podmanRun(claim: 'podman' | 'podman5', runtime: PodmanRuntime): Promise<Claim[]> {
    const reason = runtime.missing()
    if (reason !== false) throw new Error(`${claim}: ${reason}`)
    const { m } = await this.#podmanHost(runtime)
    const roots = [
      '--root',
      join(m.dir, 'storage'),
      '--runroot',
      '/run/ft-podman',
      '--tmpdir',
      '/run/ft-libpod',
    ]
    const podman = {
      argv: ['/usr/bin/podman', ...roots],
      image: IMAGE,
      env: { ...m.env, PATH: process.env['PATH'] ?? '' },
    }
    const dir = join(m.dir, 'bench')
    return inside(m, { claim, executables: this.#executables, dir, isQuick: this.isQuick, podman })
  }

  async #ingress(): Promise<Claim> {
    const result = await benchIngress({
      gateways: { gateway: [this.#executables.flatnet] },
      connections: 64,
      rounds: this.isQuick ? 1 : 3,
      seconds: this.isQuick ? 1 : 2,
    })
    process.stderr.write(`${renderIngress(result)}\n`)
    const figures = result.rows.map(({ case: what, proxy, figures: { rps } }) => {
      return { name: `${what}, ${proxy}`, unit: 'rps', value: rps, p10: rps, p90: rps }
    })
    const rows = result.rows.flatMap(({ case: what, proxy, ratio, bound, aim }) =>
      proxy !== 'gateway' || bound === undefined
        ? []
        : [
            {
              what: `ingress ${what}: gateway / nginx`,
              value: ratio,
              unit: 'ratio' as const,
              bound,
              isMore: true,
              ...(aim !== undefined && { aim }),
            },
          ],
    )
    return { title: 'Ingress against nginx, requests per second', figures, rows }
  }

  async close(): Promise<void> {
    for (const teardown of this.#teardowns.reverse()) await teardown()
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false } },
  })
  const picked = ALL.filter((name) => positionals.length === 0 || positionals.includes(name))
  const bench = new Bench(values.quick)
  const claims: Claim[] = []
  try {
    for (const name of picked) {
      const began = performance.now()
      const found = await bench.run(name)
      claims.push(...found)
      for (const claim of found) console.log(`${renderClaim(claim)}\n`)
      console.log(`(${name}: ${((performance.now() - began) / 1000).toFixed(0)} s)\n`)
    }
  } finally {
    await bench.close()
  }
  const report: Report = { at: new Date().toISOString(), machine: machineFacts(), claims }
  write(report, picked.length === ALL.length && !values.quick)
  const missed = claims.flatMap(({ rows }) => rows).filter((row) => !isWithin(row))
  console.log(
    missed.length === 0 ? 'every row within its bound' : `${missed.length} rows outside their bound`,
  )
}

function write(report: Report, isWhole: boolean): void {
  const results = join(ROOT, 'bench/results')
  mkdirSync(results, { recursive: true })
  const text = `${JSON.stringify(report, null, 2)}\n`
  writeFileSync(join(results, `${report.at.replaceAll(':', '-')}.json`), text)
  if (!isWhole) return
  writeFileSync(join(ROOT, 'docs/speed.json'), text)
  writeFileSync(join(ROOT, 'docs/speed.svg'), drawChart(report.claims))
}

await main()
