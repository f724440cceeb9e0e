/**
 * Runs plugin/main.ts many times in one process with input that no runtime would send; started inside a machine, prints
 * what it saw.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import fc from 'fast-check'
import { main } from '../../../plugin/main.ts'

/** Never a path on the machine's own disk: all files below dataDir have to go with the test. */
const DATA_DIRS = ['relative', '', '/dev/null/x', '/proc/x', '/dev/shm/f', 7, null]
const NETNS = [
  '/run/netns/c1',
  '/run/netns/none',
  '/proc/self/ns/net',
  '/proc/self/ns/mnt',
  '/etc/passwd',
  '/dev/zero',
  '',
]

export interface Seen {
  readonly runs: number
  /** How often each verb ended with each exit code, e.g. `ADD 0`. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly failure?: string
}

const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(-1, 0, 1, 65_536, 1e308, '', '\0', '../..', '10.100.1.10'),
)
/** Picks the right value most of the time, so that wrong values occur at every depth. */
const mostly = <T>(right: T) =>
  fc.oneof({ arbitrary: fc.constant<unknown>(right), weight: 40 }, { arbitrary: junk, weight: 1 })

const port = fc.record(
  { hostPort: mostly(8080), containerPort: mostly(80), protocol: mostly('tcp'), hostIP: mostly('') },
  { requiredKeys: [] },
)
const conf = fc.record(
  {
    cniVersion: mostly('1.1.0'),
    name: mostly('flatnet'),
    type: mostly('flatnet'),
    bridge: fc.constantFrom<unknown>('flatnet0', 'flatnet0', 'lo', 'x/y', '', 7),
    mtu: mostly(0),
    ipMasq: mostly(true),
    dataDir: fc.oneof(
      { arbitrary: fc.constant<unknown>('/dev/shm/f'), weight: 40 },
      { arbitrary: fc.constantFrom<unknown>(...DATA_DIRS), weight: 1 },
    ),
    registrar: fc.record(
      { endpoint: mostly('unix:///run/none.sock'), timeoutMs: mostly(5) },
      { requiredKeys: [] },
    ),
    ipam: fc.record(
      {
        type: mostly('flatnet'),
        hostId: mostly(1),
        supernet: mostly('10.100.0.0/16'),
        hostPrefix: mostly(24),
        firstOffset: mostly(10),
        routes: mostly([]),
      },
      { requiredKeys: ['type', 'hostId'] },
    ),
    runtimeConfig: fc.record(
      {
        ips: mostly(['10.100.1.20']),
        mac: mostly('02:00:00:00:00:01'),
        aliases: mostly([]),
        portMappings: fc.array(port, { maxLength: 3 }),
      },
      { requiredKeys: [] },
    ),
    args: mostly({ cni: {} }),
    prevResult: mostly(undefined),
    'cni.dev/valid-attachments': mostly([]),
  },
  { requiredKeys: ['cniVersion', 'name', 'type', 'ipam', 'dataDir'] },
)
const stdin = fc.oneof(
  { arbitrary: conf.map((value) => JSON.stringify(value)), weight: 8 },
  {
    arbitrary: fc.tuple(conf, fc.nat(400)).map(([value, cut]) => JSON.stringify(value).slice(0, cut)),
    weight: 1,
  },
  { arbitrary: fc.oneof(fc.string(), fc.json()), weight: 1 },
)
const env = fc.record(
  {
    CNI_COMMAND: fc.constantFrom('ADD', 'ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'add', ''),
    CNI_CONTAINERID: fc.oneof(
      { arbitrary: fc.constant('c1'), weight: 20 },
      { arbitrary: fc.string(), weight: 1 },
    ),
    CNI_NETNS: fc.oneof(
      { arbitrary: fc.constant('/run/netns/c1'), weight: 6 },
      { arbitrary: fc.constantFrom(...NETNS), weight: 1 },
    ),
    CNI_IFNAME: fc.oneof(
      { arbitrary: fc.constant('eth0'), weight: 20 },
      { arbitrary: fc.string({ maxLength: 17 }), weight: 1 },
    ),
    CNI_ARGS: fc.oneof(
      fc.constantFrom('', '', '', 'IgnoreUnknown=1;X=y', 'IP=10.100.1.30', 'MAC=x', 'FLATNET_PORT=0'),
      fc.string(),
    ),
  },
  { requiredKeys: ['CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_IFNAME'] },
)

const real = { readSync: fs.readSync, writeSync: fs.writeSync }

/** One run with this input for descriptor 0. @returns what went to descriptor 1, as its lines */
async function runMain(variables: Record<string, string | undefined>, input: string) {
  let left = Buffer.from(input)
  let said = ''
  fs.readSync = ((fd: number, buffer: Buffer, ...rest: []) => {
    if (fd !== 0) return real.readSync(fd, buffer, ...rest)
    const count = left.copy(buffer)
    left = left.subarray(count)
    return count
  }) as typeof fs.readSync
  fs.writeSync = ((fd: number, data: Uint8Array, offset: number, ...rest: []) => {
    if (fd !== 1) return real.writeSync(fd, data, offset, ...rest)
    said += Buffer.from(data).toString('utf8', offset)
    return data.length - offset
  }) as typeof fs.writeSync
  syncBuiltinESMExports()
  try {
    const code = await main({ env: variables })
    return { code, printed: said.split('\n').filter((line) => line !== '') }
  } finally {
    Object.assign(fs, real)
    syncBuiltinESMExports()
  }
}

/** How one run breaks the specification, or undefined. */
function problemOf(verb: string, code: number, printed: readonly string[]): string | undefined {
  if (code !== 0 && code !== 1) return `exit ${code}`
  const speaks = code === 1 || verb === 'ADD' || verb === 'VERSION'
  if (printed.length !== (speaks ? 1 : 0))
    return `${verb} ended with ${code} and printed ${printed.length} documents`
  if (!speaks) return undefined
  const value = JSON.parse(printed[0] ?? '')
  if (typeof value.cniVersion !== 'string') return 'no cniVersion'
  if (code === 0) return undefined
  // 999 is the code for an error that the plugin does not know.
  return Number.isInteger(value.code) && value.code !== 999 && value.msg ? undefined : printed[0]
}

async function fuzz(runs: number, seed: number): Promise<Seen> {
  const outcomes: Record<string, number> = {}
  const property = fc.asyncProperty(env, stdin, async (variables, input) => {
    const { code, printed } = await runMain(variables, input)
    const outcome = `${variables.CNI_COMMAND} ${code}`
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    const problem = problemOf(variables.CNI_COMMAND, code, printed)
    if (problem !== undefined) throw new Error(`${problem}\n${JSON.stringify(variables)}\n${input}`)
  })
  const result = await fc.check(property, { numRuns: runs, seed, endOnFailure: true })
  const failure = result.failed ? `seed ${seed}: ${result.errorInstance}` : undefined
  return { runs: result.numRuns, outcomes, ...(failure !== undefined && { failure }) }
}

if (process.argv[1] === import.meta.filename) {
  process.setMaxListeners(0)
  const [, , runs, seed] = process.argv
  process.stdout.write(`${JSON.stringify(await fuzz(Number(runs), Number(seed)))}\n`)
}
