/** Claim: a gateway with nothing to do takes little memory. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PodmanHost } from '../test/helpers/podman.ts'
import { type Claim, figure } from './stats.ts'

export async function benchGateway(host: PodmanHost, isQuick: boolean): Promise<Claim> {
  const gateway = await host.startGateway()
  try {
    const samples: number[] = []
    for (let i = 0; i < (isQuick ? 2 : 6); i++) {
      await sleep(2_000)
      const status = await host.m.exec('cat', `/proc/${gateway.pid}/status`)
      samples.push(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)
    }
    const rss = figure('resident, nothing to do', samples, 'MiB')
    return {
      title: 'Gateway',
      figures: [rss],
      rows: [{ what: 'gateway, idle', value: rss.value, unit: 'MiB', bound: 80 }],
    }
  } finally {
    await gateway.kill('SIGKILL')
  }
}

/** For the report: what was measured on. */
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
