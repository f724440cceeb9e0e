/** Containers of the hosts in test/helpers/hosts.ts: namespaces wired up by the built plugin, with busybox serving files in them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { ROOT } from './executable.ts'
import type { TestHost } from './hosts.ts'
import { type Netns, netns } from './netns.ts'
import { waitFor } from './wait.ts'

const PLUGIN = join(ROOT, 'dist/flatnet-cni')

export interface HostContainer {
  readonly name: string
  readonly containerId: string
  readonly host: TestHost
  readonly ns: Netns
  readonly ip: string
  /** What its httpd serves. */
  readonly www: string
  /** `performance.now()` when ADD returned, which is after the gateway was told. */
  readonly announcedAt: number
  /** A command that lives until the test ends. */
  spawn(...argv: string[]): ChildProcess
  del(): Promise<void>
}

type Verb = 'ADD' | 'DEL' | 'CHECK'

/** Runs the plugin in the host's namespace as a runtime there would, with the conflist that `join` or `init` wrote. */
async function plugin(host: TestHost, verb: Verb, name: string, containerId: string, path: string) {
  const conflist = JSON.parse(readFileSync(join(host.dir, 'cni/flatnet.conflist'), 'utf8'))
  const { cniVersion, name: network, plugins } = conflist
  const env = [
    `CNI_COMMAND=${verb}`,
    `CNI_CONTAINERID=${containerId}`,
    `CNI_NETNS=${path}`,
    'CNI_IFNAME=eth0',
    `CNI_ARGS=K8S_POD_NAME=${name};IgnoreUnknown=1`,
    'CNI_PATH=/usr/lib/cni',
  ]
  const input = JSON.stringify({ cniVersion, name: network, ...plugins[0] })
  const ran = await host.exec(['env', ...env, PLUGIN], { input })
  if (ran.rc !== 0)
    throw new Error(`host ${host.index}: ${verb} ${name}: exit ${ran.rc}: ${ran.stdout}${ran.stderr}`)
  return ran.stdout === '' ? undefined : JSON.parse(ran.stdout)
}

let made = 0

/** One container on the host; `index.html` on its port 80 holds `<name> on host <n>`. */
export async function hostContainer(
  t: Pick<Test, 'teardown'>,
  host: TestHost,
  name: string,
): Promise<HostContainer> {
  const containerId = `${name}-${process.pid}-${made++}`
  const ns = await netns(t)
  const result = await plugin(host, 'ADD', name, containerId, ns.path)
  const announcedAt = performance.now()
  const ip = String(result.ips[0].address).split('/')[0] ?? ''
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
    name,
    containerId,
    host,
    ns,
    ip,
    www,
    announcedAt,
    spawn: start,
    async del() {
      await plugin(host, 'DEL', name, containerId, ns.path)
      for (const child of children) child.kill('SIGKILL')
      ns.remove()
    },
  }
}

/** Bytes that the container's interface has received. */
export const received = ({ ns }: HostContainer): number =>
  Number(ns.exec('cat', '/sys/class/net/eth0/statistics/rx_bytes'))
