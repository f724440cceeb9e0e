/** Claim: an installed gateway with nothing to do takes little memory. */

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Background, Machine } from '../test/helpers/kernel/machine.ts'
import { cliExecutable } from '../test/helpers/run/executable.ts'
import { waitFor } from '../test/helpers/run/wait.ts'
import { type Claim, figure } from './stats.ts'

/** Of /proc/PID/smaps_rollup, in MiB. */
type Memory = Readonly<Record<'Rss' | 'Pss' | 'Anonymous', number>>

/** Runs an installed copy: the packer's own file is in the page cache in large folios, which are mapped whole. */
async function startInstalled(m: Machine): Promise<Background> {
  await m.exec(cliExecutable().path, 'install', '--no-service', '--cni-bin-dir', '/opt/cni/bin')
  const gateway = await m.start(['/usr/local/bin/flatnet', 'gateway'], { name: 'gateway' })
  await waitFor('the gateway runs', 10_000, async () => {
    if (!(await gateway.alive())) throw new Error(`the gateway has ended: ${gateway.log()}`)
    return (await m.run(['/usr/local/bin/flatnet', 'status'])).rc === 0
  })
  return gateway
}

async function memoryOf(m: Machine, pid: number): Promise<Memory> {
  const rollup = await m.exec('cat', `/proc/${pid}/smaps_rollup`)
  const value = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]) / 1024
  return { Rss: value('Rss'), Pss: value('Pss'), Anonymous: value('Anonymous') }
}

async function samples(m: Machine, pid: number, count: number): Promise<Memory[]> {
  const taken: Memory[] = []
  for (let i = 0; i < count; i++) {
    await sleep(2_000)
    taken.push(await memoryOf(m, pid))
  }
  return taken
}

/** By then V8 has noticed that the gateway is idle, and has returned the memory of the start. */
const SETTLED_MS = 45_000

export async function benchGateway(m: Machine, isQuick: boolean): Promise<Claim> {
  const gateway = await startInstalled(m)
  try {
    const started = await samples(m, gateway.pid, isQuick ? 2 : 5)
    const rss = figure(
      'resident, just started',
      started.map((s) => s.Rss),
      'MiB',
    )
    const figures = [rss]
    if (!isQuick) {
      await sleep(SETTLED_MS)
      const settled = await samples(m, gateway.pid, 5)
      figures.push(
        figure(
          'resident, a minute later',
          settled.map((s) => s.Rss),
          'MiB',
        ),
        figure(
          'its share (PSS)',
          settled.map((s) => s.Pss),
          'MiB',
        ),
        figure(
          'of it not of a file',
          settled.map((s) => s.Anonymous),
          'MiB',
        ),
      )
    }
    return {
      title: 'Gateway',
      figures,
      rows: [{ what: 'gateway, idle', value: rss.value, unit: 'MiB', bound: 80 }],
    }
  } finally {
    await gateway.kill('SIGKILL')
  }
}

/** Describes the machine, for the report. */
export function machineFacts(): Record<string, string> {
  const cpu = /model name\s*:\s*(.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? process.arch
  const cores = readFileSync('/proc/cpuinfo', 'utf8').match(/^processor/gm)?.length ?? 0
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  return {
    cpu,
    cores: String(cores),
    kernel,
    load: readFileSync('/proc/loadavg', 'utf8').split(' ')[0] ?? '',
  }
}
