/** Containers of hosts.ts's hosts: namespaces that the built plugin wires up, some with busybox serving files. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Netns, netns } from '../kernel/netns.ts'
import { ROOT } from '../run/executable.ts'
import { waitFor } from '../run/wait.ts'
import { type ExecOptions, fromSource } from './execute.ts'
import type { TestHost } from './test-host.ts'

const PLUGIN = join(ROOT, 'dist/flatnet-cni')

export interface BareContainer {
  readonly name: string
  readonly containerId: string
  readonly host: TestHost
  readonly ns: Netns
  readonly ip: string
  /** What the plugin printed. */
  // biome-ignore lint/suspicious/noExplicitAny: judged by the test
  readonly result: any
  /** `performance.now()` when ADD returned, after its announcement to the gateway. */
  readonly announcedAt: number
  /** @param options with `imports` the plugin runs from source */
  del(options?: Pick<ExecOptions, 'imports' | 'env'>): Promise<void>
}

export interface HostContainer extends BareContainer {
  /** The folder that its httpd serves. */
  readonly www: string
  /** Starts a command that lives until the test ends. */
  spawn(...argv: string[]): ChildProcess
}

type Verb = 'ADD' | 'DEL' | 'CHECK'

export interface BareOptions {
  /** Overrides keys of the network's configuration. */
  readonly conf?: Readonly<Record<string, unknown>>
}

/** Runs the plugin in the host's namespace, as a runtime would, with the conflist that `join` or `init` wrote. */
async function plugin(
  host: TestHost,
  verb: Verb,
  { name, containerId, ns, conf }: Pick<BareContainer, 'name' | 'containerId' | 'ns'> & BareOptions,
  options: Pick<ExecOptions, 'imports' | 'env'> = {},
) {
  const conflist = JSON.parse(readFileSync(join(host.dir, 'cni/10-flatnet.conflist'), 'utf8'))
  const { cniVersion, name: network, plugins } = conflist
  const env = [
    `CNI_COMMAND=${verb}`,
    `CNI_CONTAINERID=${containerId}`,
    `CNI_NETNS=${ns.path}`,
    'CNI_IFNAME=eth0',
    `CNI_ARGS=K8S_POD_NAME=${name};IgnoreUnknown=1`,
    'CNI_PATH=/usr/lib/cni',
  ]
  const input = JSON.stringify({ cniVersion, name: network, ...plugins[0], ...conf })
  const program = options.imports === undefined ? [PLUGIN] : fromSource([], options.imports)
  const ran = await host.exec(['env', ...env, ...program], { ...options, input })
  if (ran.rc !== 0)
    throw new Error(`host ${host.index}: ${verb} ${name}: exit ${ran.rc}: ${ran.stdout}${ran.stderr}`)
  return ran.stdout === '' ? undefined : JSON.parse(ran.stdout)
}

let made = 0

/** Makes a container in which nothing runs: a lease, a link and a registration. */
export async function bareContainer(
  t: Pick<Test, 'teardown'>,
  host: TestHost,
  name: string,
  { conf = {} }: BareOptions = {},
): Promise<BareContainer> {
  const containerId = `${name}-${process.pid}-${made++}`
  const ns = await netns(t)
  const call = { name, containerId, ns, conf }
  const result = await plugin(host, 'ADD', call)
  const announcedAt = performance.now()
  const ip = String(result.ips[0].address).split('/')[0] ?? ''
  return {
    name,
    containerId,
    host,
    ns,
    ip,
    result,
    announcedAt,
    async del(options) {
      await plugin(host, 'DEL', call, options)
      ns.remove()
    },
  }
}

/** Makes a container that serves `<name> on host <n>` on port 80. */
export async function hostContainer(
  t: Pick<Test, 'teardown'>,
  host: TestHost,
  name: string,
  options: BareOptions = {},
): Promise<HostContainer> {
  const bare = await bareContainer(t, host, name, options)
  const { containerId, ns } = bare
  const www = join(host.dir, 'www', containerId)
  mkdirSync(www, { recursive: true })
  writeFileSync(join(www, 'index.html'), `${name} on host ${host.index}\n`)
  const children: ChildProcess[] = []
  const start = (...argv: string[]): ChildProcess => {
    const child = spawn('ip', ['netns', 'exec', ns.name, ...argv], { stdio: ['pipe', 'pipe', 'pipe'] })
    children.push(child)
    return child
  }
  t.teardown(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  start('busybox', 'httpd', '-f', '-p', '80', '-h', www)
  await waitFor(`${name} listens`, 10_000, () => ns.exec('ss', '-Hltn').includes(':80 '))
  return {
    ...bare,
    www,
    spawn: start,
    async del() {
      await bare.del()
      for (const child of children) child.kill('SIGKILL')
    },
  }
}

/** How many bytes the container's interface has received. */
export const received = ({ ns }: HostContainer): number =>
  Number(ns.exec('cat', '/sys/class/net/eth0/statistics/rx_bytes'))

/** How many IPv4 packets have reached the container, wrong ones too, but neither ARP nor multicasts of IPv6. */
export function ipv4Received({ ns }: HostContainer): number {
  const [names, values] = [...ns.exec('cat', '/proc/net/snmp').matchAll(/^Ip: (.*)$/gm)].map(
    (row) => row[1]?.split(' ') ?? [],
  )
  const found = values?.[names?.indexOf('InReceives') ?? -1]
  if (found === undefined) throw new Error('/proc/net/snmp has no Ip InReceives')
  return Number(found)
}
