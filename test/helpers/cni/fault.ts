/**
 * Faults, made to order: kills a plugin at a chosen system call, or lets that call fail, with strace; and what must
 * hold afterwards.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { publishedPorts } from '../kernel/leftovers.ts'
import { machine } from '../kernel/machine.ts'
import { cliExecutable, type Executable } from '../run/executable.ts'
import { type Call, CniHost, type Reply, type Verb } from './cni.ts'

/** Why strace cannot be used, or false. */
export const needsStrace: string | false =
  process.getuid?.() !== 0
    ? 'needs root (network namespaces)'
    : existsSync('/usr/bin/strace')
      ? false
      : 'not installed: strace'

/** Calls that change something, or come between two changes. Only the main thread is traced: it does all the work. */
const CALLS = [
  'sendto',
  'rename',
  'symlink',
  'unlink',
  'mkdir',
  'fsync',
  'link',
  'clone',
  'vfork',
  'write',
] as const
type Syscall = (typeof CALLS)[number]

/** One call of a run: the `nth` of its name since the start of the process. */
export interface Step {
  readonly syscall: Syscall
  readonly nth: number
  /**
   * As strace prints it, without what differs between runs; for messages and to see whether a later run hit the same.
   */
  readonly what: string
}

export interface Injected extends Reply {
  readonly wasKilled: boolean
  /** The last call that was traced, in the words of `Step.what`. */
  readonly at: string
}

/** A host whose plugin is a link instead of a copy, as these tests make many hosts. */
export async function faultHost(
  t: Pick<Test, 'teardown'>,
  executable: Executable,
  version = '1.1.0',
): Promise<CniHost> {
  const host = new CniHost(await machine(t), version)
  mkdirSync(host.binDir)
  symlinkSync(executable.path, join(host.binDir, 'flatnet'))
  return host
}

/**
 * Whether a call changed anything: reads, wake-ups of threads and failed calls do not. Nor does one that the kernel
 * begins anew: beside other work it did so 49 times for one write to ip_forward, which waits for the lock of all links.
 */
function isChange(line: string): boolean {
  if (/ = (-1 E|\? ERESTART)/.test(line)) return false
  if (/nlmsg_type=(RTM_GET|0x12 |NFNL_SUBSYS_NFTABLES<<8\|NFT_MSG_GET)/.test(line)) return false
  return !/^write\(\d+<(pipe|anon_inode|\/dev)/.test(line)
}

/**
 * A line of strace without what differs between runs, e.g. `rename ipam/flatnet/.10.100.1.0.json.tmp` or `sendto
 * RTM_NEWLINK`.
 */
function shape(line: string): string {
  const syscall = /^\w+/.exec(line)?.[0] ?? line
  const types = [...line.matchAll(/nlmsg_type=(?:NFNL_SUBSYS_)?(\w+(?:<<8\|\w+)?)/g)].map(([, type]) => type)
  const path = /"(\/[^"]*)"|<(\/[^>]*)>/.exec(line)
  const target = types.length > 0 ? types.join(' ') : (path?.[1] ?? path?.[2] ?? '')
  return `${syscall} ${target.replace(/^.*?\/flatnet\//, '').replace(/\.\d+\.\d+\.tmp/, '.tmp')}`.trim()
}

function stepsOf(trace: string): Step[] {
  const counts = new Map<string, number>()
  const steps: Step[] = []
  for (const line of trace.split('\n')) {
    const syscall = CALLS.find((name) => line.startsWith(`${name}(`))
    if (syscall === undefined) continue
    const nth = (counts.get(syscall) ?? 0) + 1
    counts.set(syscall, nth)
    if (isChange(line)) steps.push({ syscall, nth, what: shape(line) })
  }
  return steps
}

export const stepsOfKind = (steps: readonly Step[], kind: RegExp): Step[] =>
  steps.filter(({ what }) => kind.test(what))

let traces = 0

/** Runs a verb below strace; `inject` as strace's `-e inject=`. */
export async function traced(host: CniHost, verb: Verb, call: Call, inject?: string): Promise<Injected> {
  const output = join(host.m.dir, `trace.${traces++}`)
  const options = ['-y', '-o', output, '-e', `trace=${CALLS.join(',')}`]
  const wrapper = ['strace', ...options, ...(inject === undefined ? [] : ['-e', `inject=${inject}`])]
  const ran = await host.raw(verb, { ...call, wrapper })
  const lines = readFileSync(output, 'utf8').trimEnd().split('\n')
  const wasKilled = lines.at(-1)?.includes('+++ killed by SIGKILL') === true
  return {
    ...ran,
    json: ran.stdout.trim() === '' ? undefined : JSON.parse(ran.stdout),
    wasKilled,
    at: shape(lines.at(-2) ?? ''),
  }
}

/** Records the changes of one undisturbed run, in order. */
export async function record(host: CniHost, verb: Verb, call: Call): Promise<Step[]> {
  const output = join(host.m.dir, `trace.${traces++}`)
  const wrapper = ['strace', '-y', '-o', output, '-e', `trace=${CALLS.join(',')}`]
  const ran = await host.raw(verb, { ...call, wrapper })
  if (ran.rc !== 0) throw new Error(`${verb}: exit ${ran.rc}: ${ran.stdout}`)
  return stepsOf(readFileSync(output, 'utf8'))
}

/** Sends SIGKILL as the step begins: earlier steps are done, this one is not. */
export const killAt = (host: CniHost, verb: Verb, call: Call, { syscall, nth }: Step): Promise<Injected> =>
  traced(host, verb, call, `${syscall}:signal=KILL:when=${nth}`)

/** Lets the step fail with `errno`, e.g. `EPERM`, without doing anything. */
export const failAt = (host: CniHost, verb: Verb, call: Call, { syscall, nth }: Step, errno: string) =>
  traced(host, verb, call, `${syscall}:error=${errno}:when=${nth}`)

const filesOf = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder, { recursive: true }).map((file) => String(file)) : []

/**
 * Beyond `leftovers`: hints that lead nowhere, and temp files of killed writers, except those of blocks, which go with
 * `gc`.
 */
export function litter(host: CniHost): string[] {
  const leased = new Set(host.leases().map(({ containerId, ifname }) => `${containerId}:${ifname}`))
  return filesOf(host.dataDir).filter((file) => {
    if (/^ipam\/[^/]+\/keys\/[^.][^/]*$/.test(file)) return !leased.has(file.split('/').at(-1) ?? '')
    return file.endsWith('.tmp') && !file.startsWith('ipam/')
  })
}

/** Temp files of blocks, after `flatnet gc`. */
export async function litterAfterGc(host: CniHost): Promise<string[]> {
  const folder = join(host.m.dir, 'net.d')
  mkdirSync(folder, { recursive: true })
  const { cniVersion, name, ...plugin } = host.conf()
  writeFileSync(join(folder, 'flatnet.conflist'), JSON.stringify({ cniVersion, name, plugins: [plugin] }))
  await host.m.exec(cliExecutable().path, 'gc', '--cni-conf-dir', folder)
  return filesOf(host.dataDir).filter((file) => file.endsWith('.tmp'))
}

export interface Standing {
  /** Container ids, sorted; the three agree when all is well. */
  readonly leases: readonly string[]
  readonly links: readonly string[]
  /** Owners of published ports, each once. */
  readonly publishers: readonly string[]
}

/** Who has what, each asked of its own witness: the disk, the kernel's links, nftables. */
export async function standing(host: CniHost): Promise<Standing> {
  const links: { ifname: string; ifalias?: string }[] = await host.m.json('ip', '-j', 'link')
  const ours = links.filter(({ ifname }) => /^fn[0-9a-f]{10}$/.test(ifname))
  const idOf = new Map(ours.map(({ ifname, ifalias = '' }) => [ifname, ifalias.split(' ')[2] ?? '?']))
  const owners = (await publishedPorts(host.m)).map(
    (element) => /"comment":"([^"]*)"/.exec(element)?.[1] ?? '',
  )
  return {
    leases: host
      .leases()
      .map(({ containerId }) => containerId)
      .sort(),
    links: [...idOf.values()].sort(),
    publishers: [...new Set(owners.map((owner) => idOf.get(owner) ?? `nobody (${owner})`))].sort(),
  }
}
