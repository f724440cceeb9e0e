/**
 * Ingress against nginx as proxy of the same container: `node bench/ingress.ts [options] [name=command …]`.
 *
 * Requests per second and 99th percentile at 64 connections, with one worker each, interleaved. Needs root, nginx and
 * wrk.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Front, HOST, type Stage, setUp } from './ingress-setup.ts'

const ROOT = resolve(import.meta.dirname, '..')

interface Case {
  readonly name: string
  readonly path: string
  /** Bytes; absent for GET. */
  readonly body?: number
  /** The least ratio of the gateway's requests per second to nginx's. */
  readonly bound?: number
  readonly aim?: number
}

const CASES: readonly Case[] = [
  { name: 'GET small', path: '/small', bound: 0.5, aim: 0.8 },
  { name: 'GET 100 KB', path: '/large' },
  { name: 'POST 1 KB', path: '/post', body: 1024 },
]

/** Medians over the rounds. */
export interface IngressFigures {
  readonly rps: number
  readonly p99Ms: number
  /** CPU time of the proxy per request. */
  readonly cpuUs: number
  /** Answers that were not 2xx and connections that broke, in all rounds. */
  readonly errors: number
}

export interface IngressRow {
  readonly case: string
  readonly proxy: string
  readonly figures: IngressFigures
  /** Requests per second, divided by nginx's. */
  readonly ratio: number
  readonly bound?: number
  readonly aim?: number
}

export interface IngressMemory {
  readonly proxy: string
  /** MiB resident: before any load, after all loads, and after 15 s of rest. */
  readonly idle: number
  readonly loaded: number
  readonly rested: number
  readonly peak: number
}

export interface IngressResult {
  readonly connections: number
  readonly rounds: number
  readonly seconds: number
  readonly rows: readonly IngressRow[]
  readonly memory: readonly IngressMemory[]
}

export interface IngressOptions {
  /** Name → command line, to which `gateway --config …` is added. */
  readonly gateways: Readonly<Record<string, readonly string[]>>
  readonly connections: number
  readonly rounds: number
  /** Length of one measurement. */
  readonly seconds: number
}

export const INGRESS_DEFAULTS: IngressOptions = {
  gateways: { gateway: [join(ROOT, 'dist/flatnet')] },
  connections: 64,
  rounds: 5,
  seconds: 3,
}

type Sample = IngressFigures

export async function benchIngress(options: IngressOptions = INGRESS_DEFAULTS): Promise<IngressResult> {
  const { connections, rounds, seconds } = options
  const stage = await setUp(options.gateways)
  try {
    const idle = stage.proxies.map((p) => rssMib(p, 'VmRSS'))
    const rows: IngressRow[] = []
    for (const c of CASES) rows.push(...(await measureCase(stage, c, options)))
    for (const p of stage.proxies) await downloadMuch(stage, p)
    const loaded = stage.proxies.map((p) => rssMib(p, 'VmRSS'))
    await sleep(15_000)
    const memory = stage.proxies.map((p, i) => ({
      proxy: p.name,
      idle: idle[i]!,
      loaded: loaded[i]!,
      rested: rssMib(p, 'VmRSS'),
      peak: rssMib(p, 'VmHWM'),
    }))
    return { connections, rounds, seconds, rows, memory }
  } finally {
    await stage.close()
  }
}

/** Measures all proxies in turn in each round, so that other load on the machine hits all of them. */
async function measureCase(stage: Stage, c: Case, options: IngressOptions): Promise<IngressRow[]> {
  const all = [...stage.proxies, stage.direct]
  const samples = new Map<Front, Sample[]>(all.map((p) => [p, []]))
  // Warm-up: the engine compiles hot code, and the proxies make their connections.
  for (const p of all) await measure(stage, p, c, { ...options, seconds: 1 })
  for (let round = 0; round < options.rounds; round++)
    for (const p of all) samples.get(p)!.push(await measure(stage, p, c, options))
  const figures = all.map((p) => medians(samples.get(p)!))
  return all.map((p, i) => ({
    case: c.name,
    proxy: p.name,
    figures: figures[i]!,
    ratio: figures[i]!.rps / figures[0]!.rps,
    ...(c.bound !== undefined && { bound: c.bound }),
    ...(c.aim !== undefined && { aim: c.aim }),
  }))
}

async function measure(
  stage: Stage,
  proxy: Front,
  c: Case,
  { connections, seconds }: Pick<IngressOptions, 'connections' | 'seconds'>,
): Promise<Sample> {
  const url = `http://${proxy === stage.direct ? '127.1.0.10' : '127.0.0.1'}:${proxy.port}${c.path}`
  const script = c.body === undefined ? [] : ['-s', postScript(c.body)]
  const before = cpuSeconds(proxy.pid)
  const load = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--latency', ...script]
  const text = await stage.run('wrk', ...load, '-H', `Host: ${HOST}`, url)
  return parseWrk(text, cpuSeconds(proxy.pid) - before)
}

/** Downloads 64 MiB, eight at once, as fast as it comes. */
async function downloadMuch(stage: Stage, proxy: Front): Promise<void> {
  const url = `http://127.0.0.1:${proxy.port}/huge`
  const get = (): Promise<string> => stage.run('curl', '-s', '-o', '/dev/null', '-H', `Host: ${HOST}`, url)
  await Promise.all(Array.from({ length: 16 }, get))
}

function postScript(size: number): string {
  const path = join(tmpdir(), `flatnet-post-${size}.lua`)
  writeFileSync(path, `wrk.method = "POST"\nwrk.body = string.rep("x", ${size})\n`)
  return path
}

export function parseWrk(text: string, cpu: number): Sample {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0)
  const [, value, unit] = /^\s+99%\s+([\d.]+)(us|ms|s)$/m.exec(text) ?? []
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text) ?? []
  const done = number(/^\s+(\d+) requests in /m)
  return {
    rps: number(/^Requests\/sec:\s+([\d.]+)/m),
    p99Ms: Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit ?? 'ms']!,
    cpuUs: (cpu / done) * 1e6,
    errors:
      number(/Non-2xx or 3xx responses: (\d+)/) +
      socketErrors.slice(1).reduce((sum, n) => sum + Number(n), 0),
  }
}

/** utime and stime of a process; /proc counts hundredths of a second. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function rssMib({ pid }: Front, line: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(new RegExp(`^${line}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024)
}

function medians(samples: readonly Sample[]): IngressFigures {
  const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!
  return {
    rps: Math.round(median(samples.map((s) => s.rps))),
    p99Ms: median(samples.map((s) => s.p99Ms)),
    cpuUs: Math.round(median(samples.map((s) => s.cpuUs)) * 10) / 10,
    errors: samples.reduce((sum, s) => sum + s.errors, 0),
  }
}

export function renderIngress({ connections, rounds, seconds, rows, memory }: IngressResult): string {
  const table = rows.map((r) => {
    const verdict = r.bound === undefined || !isGateway(r) ? '' : `bound ${r.bound}, aim ${r.aim}`
    const { rps, p99Ms, cpuUs, errors } = r.figures
    return [r.case, r.proxy, rps, p99Ms.toFixed(1), cpuUs.toFixed(1), errors, r.ratio.toFixed(2), verdict]
  })
  const head = ['', 'proxy', 'req/s', 'p99 ms', 'CPU us', 'errors', '/ nginx', '']
  const memoryRows = memory.map((m) => [m.proxy, m.idle, m.loaded, m.rested, m.peak])
  return [
    `Ingress, ${connections} connections, medians of ${rounds} rounds of ${seconds} s`,
    ...columns([head, ...table]),
    '',
    'Resident MiB',
    ...columns([['', 'idle', 'loaded', 'rested', 'peak'], ...memoryRows]),
  ].join('\n')
}

export const isGateway = (row: IngressRow): boolean => row.proxy !== 'nginx' && row.proxy !== 'no proxy'

function columns(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => String(r[i]).length)))
  return rows.map((r) =>
    r
      .map((cell, i) => (i < 2 ? String(cell).padEnd(widths[i]!) : String(cell).padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  )
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: String(INGRESS_DEFAULTS.rounds) },
      seconds: { type: 'string', default: String(INGRESS_DEFAULTS.seconds) },
      connections: { type: 'string', default: String(INGRESS_DEFAULTS.connections) },
      json: { type: 'string' },
    },
  })
  const named = positionals.map((p) => {
    const [name = '', command = ''] = p.split(/=(.*)/s)
    return [name, command.split(' ')] as const
  })
  const gateways = named.length === 0 ? INGRESS_DEFAULTS.gateways : Object.fromEntries(named)
  for (const [program = ''] of Object.values(gateways))
    if (program.includes('/') && !existsSync(program))
      throw new Error(`no ${program}: npm run build, or name=command`)
  const { rounds, seconds, connections } = values
  const result = await benchIngress({
    gateways,
    rounds: Number(rounds),
    seconds: Number(seconds),
    connections: Number(connections),
  })
  console.log(renderIngress(result))
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`)
}

if (import.meta.main) await main()
