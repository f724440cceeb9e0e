/**
 * Claims about names, with two whole hosts and the built executable: what an answer costs the gateway, what passing
 * on adds to another server's answer, and how soon a new container is found from another host.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BareContainer, bareContainer } from '../test/helpers/cluster/host-container.ts'
import { joinedHosts } from '../test/helpers/cluster/hosts.ts'
import { dnsProgram } from '../test/helpers/dns/dns-programs.ts'
import { setConf } from '../test/helpers/dns/host-conf.ts'
import type { Order } from './dns-client.ts'
import { type Claim, figure, median } from './stats.ts'

const CLIENT = join(import.meta.dirname, 'dns-client.ts')
const DOMAIN = 'flatnet.internal'
const SERVER = '10.100.1.1'
/** Below the bound of one container, 10,000 in a second. */
const RATE = 8_000
/** Of /proc/PID/stat: USER_HZ, which is 100 on Linux. */
const TICK_MS = 10

/** Runs an order in a container's namespace. */
async function ask({ ns }: BareContainer, order: Order): Promise<unknown> {
  const argv = ['netns', 'exec', ns.name, process.execPath, CLIENT, JSON.stringify(order)]
  const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await once(child, 'close')
  return JSON.parse(text)
}

/** User and system time so far. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}

async function costs(asker: BareContainer, pid: number, isQuick: boolean): Promise<number[]> {
  const costs: number[] = []
  for (let n = 0; n < (isQuick ? 2 : 5); n++) {
    const before = cpuMs(pid)
    const answered = Number(
      await ask(asker, { kind: 'load', server: SERVER, name: 'web', rate: RATE, seconds: 2 }),
    )
    costs.push(answered / ((cpuMs(pid) - before) / 1_000))
  }
  return costs
}

export async function benchDns(isQuick: boolean): Promise<Claim> {
  const teardowns: (() => unknown)[] = []
  const t = { teardown: (fn: () => unknown) => void teardowns.push(fn) } as Parameters<typeof joinedHosts>[0]
  try {
    const net = await joinedHosts(t, 2, { spare: 1 })
    const [one, two, outside] = [net.host(1), net.host(2), net.host(3)]
    const upstream = outside.spawn(...dnsProgram('upstream', outside.ip))
    await once(upstream.stdout!, 'data')
    await setConf(one, { dns: { servers: [outside.ip] } })
    await bareContainer(t, one, 'web')
    const asker = await bareContainer(t, one, 'asker')
    const perCore = figure(
      'answers a second and core of the gateway',
      await costs(asker, one.pid ?? 0, isQuick),
      '1/s',
    )
    const rounds = isQuick ? 100 : 500
    const servers = [outside.ip, SERVER]
    const times = (await ask(asker, { kind: 'turns', servers, name: 'example.com', rounds })) as number[][]
    const alone = figure('another server alone', times[0] ?? [])
    const passed = figure('the same through the gateway', times[1] ?? [])
    const starts: number[] = []
    const afterAdd: number[] = []
    for (let n = 0; n < (isQuick ? 3 : 10); n++) {
      const name = `new-${n}`
      // In our own domain: a name without one goes on to the other server, which knows every name.
      const found = ask(asker, { kind: 'poll', server: SERVER, name: `${name}.${DOMAIN}` })
      // The client runs by then, so the first answer is not its start.
      await new Promise((resolve) => setTimeout(resolve, 500))
      const began = Date.now()
      await bareContainer(t, two, name)
      const added = Date.now()
      const at = Number(await found)
      starts.push(at - began)
      // ADD announces the container before it ends, so it may be found by then.
      afterAdd.push(Math.max(0, at - added))
    }
    const all = figure('a new container found, with its namespace and ADD', starts)
    const first = figure('the same, from the end of ADD', afterAdd)
    return {
      title: 'Names for containers',
      figures: [perCore, alone, passed, all, first],
      rows: [
        {
          what: 'DNS answers a second and core',
          value: perCore.value,
          unit: '1/s',
          bound: 20_000,
          isMore: true,
        },
        {
          what: 'passing a question on adds',
          value: median(times[1] ?? []) - alone.value,
          unit: 'ms',
          bound: 1,
        },
        {
          what: 'new container found from another host, after ADD',
          value: first.value,
          unit: 'ms',
          bound: 300,
        },
      ],
    }
  } finally {
    for (const teardown of teardowns.reverse()) await teardown()
  }
}
