/** Claim: the cost of an ADD does not grow with the leases in a slice (0 to 60,000 of 65,536). */

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatIpv4 } from '../core/addr.ts'
import type { Lease } from '../ipam/lease.ts'
import { emptyBlock } from '../ipam/store/block.ts'
import { blockBaseOf, blockFileName } from '../ipam/store/layout.ts'
import { flatnet } from './contestants.ts'
import type { Executables } from './spawn.ts'
import { type Claim, figure, ratio, rotated } from './stats.ts'

const SIZES = [0, 1_000, 10_000, 60_000] as const

function lease(ip: string, network: string, n: number, bootId: string): Lease {
  return {
    ip,
    network,
    containerId: `${n.toString(16).padStart(8, '0')}${'f'.repeat(56)}`,
    ifname: 'eth0',
    mac: '0a:64:0a:00:00:01',
    hostIfname: `fn${n.toString(16).padStart(10, '0')}`,
    netns: `/run/netns/bench-${n}`,
    netnsInode: '4:1',
    bootId,
    name: `container-${n}`,
    aliases: [],
    ports: [],
    httpPort: 80,
    createdAt: '2026-01-01T00:00:00.000Z',
    state: 'active',
  }
}

/** Writes blocks as the store does; its first ADD makes the keys. The newest block is full like the others. */
function fill(folder: string, network: string, base: number, count: number): void {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  mkdirSync(folder, { recursive: true })
  // The slice reserves 10 addresses for infrastructure.
  const ips = Array.from({ length: count }, (_, n) => base + 10 + n)
  for (const [block, members] of Map.groupBy(ips, blockBaseOf)) {
    const leases = members.map((ip) => lease(formatIpv4(ip), network, ip - base - 10, bootId))
    const content = { ...emptyBlock(), leases: Object.fromEntries(leases.map((l) => [l.ip, l])) }
    writeFileSync(join(folder, blockFileName(block)), `${JSON.stringify(content)}\n`)
  }
}

export function benchLeases({ flatnet: pkg, flatnetCni }: Executables, dir: string, rounds: number): Claim[] {
  const programs = { 'flatnet-cni': flatnetCni, flatnet: pkg }
  return Object.entries(programs).map(([program, path]) => claim(program, path, join(dir, program), rounds))
}

function claim(program: string, path: string, dir: string, rounds: number): Claim {
  mkdirSync(dir)
  const shift = program === 'flatnet' ? SIZES.length : 0
  const contestants = SIZES.map((size, i) => {
    const hostId = 101 + shift + i
    const network = `leases-${size}`
    const dataDir = join(dir, `data-${size}`)
    if (size > 0) fill(join(dataDir, 'ipam', network), network, ((10 << 24) | (hostId << 16)) >>> 0, size)
    const options = { hostId, supernet: '10.0.0.0/8', hostPrefix: 16, dataDir, network }
    return { name: `${size.toLocaleString('en')} leases`, plugin: flatnet(network, path, dir, options) }
  })
  const samples = new Map<string, number[]>(contestants.map(({ name }) => [name, []]))
  for (let round = -2; round < rounds; round++) {
    for (const { name, plugin } of rotated(contestants, round + 2)) {
      const container = `l${round + 2}`
      execFileSync('ip', ['netns', 'add', container])
      const { ms } = plugin.add(container)
      plugin.del(container)
      execFileSync('ip', ['netns', 'del', container])
      if (round >= 0) samples.get(name)?.push(ms)
    }
  }
  const figures = [...samples].map(([name, values]) => figure(name, values))
  const [none, , ten, sixty] = figures
  return {
    title: `ADD by ${program}, by number of leases in the slice`,
    figures,
    rows: [
      ratio(`ADD ${program} at 10,000 leases / at none`, ten!, none!, 1.2, 1.05),
      ratio(`ADD ${program} at 60,000 leases / at none`, sixty!, none!, 1.2, 1.05),
    ],
  }
}
