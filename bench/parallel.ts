/** Claim: 100 containers started at the same instant. */

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DEBIAN, flatnetConf, verbEnv } from './contestants.ts'
import { type Executables, ended, start } from './spawn.ts'
import { type Claim, figure, ratio, rotated } from './stats.ts'

export function benchParallel(
  { flatnet, flatnetCni }: Executables,
  dir: string,
  rounds: number,
  containers: number,
): Claim[] {
  mkdirSync(join(dir, 'parallel'))
  const conf = (hostId: number) => flatnetConf(dir, { hostId, supernet: '10.200.0.0/16' })
  const bridge = {
    cniVersion: '1.0.0',
    name: 'parallel',
    type: 'bridge',
    bridge: 'bench-par',
    isGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', dataDir: join(dir, 'host-local'), ranges: [[{ subnet: '10.75.0.0/16' }]] },
  }
  const programs = [
    { name: 'flatnet-cni', path: flatnetCni, conf: conf(11) },
    { name: 'flatnet', path: flatnet, conf: conf(12) },
    { name: 'bridge+ipMasq', path: join(DEBIAN, 'bridge'), conf: bridge },
  ]
  const names = Array.from({ length: containers }, (_, i) => `p${i}`)
  for (const name of names) execFileSync('ip', ['netns', 'add', name])
  const samples = new Map<string, number[]>(programs.map(({ name }) => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const program of rotated(programs, round + 1)) {
      const stdin = join(dir, 'parallel', 'stdin')
      writeFileSync(stdin, JSON.stringify(program.conf))
      const ms = all(program.path, 'ADD', names, stdin, join(dir, 'parallel'))
      all(program.path, 'DEL', names, stdin, join(dir, 'parallel'))
      if (round >= 0) samples.get(program.name)?.push(ms)
    }
  }
  const figures = [...samples].map(([name, values]) => figure(name, values))
  const [cni, pkg, masq] = figures
  return [
    {
      title: `${containers} ADDs at once, until the last is done`,
      figures,
      rows: [
        ratio(`${containers} ADDs flatnet-cni / bridge+ipMasq`, cni!, masq!, 1, 0.5),
        ratio(`${containers} ADDs flatnet / bridge+ipMasq`, pkg!, masq!, 2),
      ],
    },
  ]
}

function all(path: string, verb: string, names: readonly string[], stdin: string, dir: string): number {
  const began = performance.now()
  const started = names.map((name) => start([path], verbEnv(verb, name), { stdin, stdout: join(dir, name) }))
  const codes = started.map((process) => ended(process).code)
  const ms = performance.now() - began
  const failed = codes.findIndex((code) => code !== 0)
  if (failed >= 0)
    throw new Error(
      `${path} ${verb} ${names[failed]}: ${readFileSync(join(dir, names[failed]!), 'utf8').slice(0, 300)}`,
    )
  return ms
}
