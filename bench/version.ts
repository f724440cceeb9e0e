/** Claim: VERSION, which Podman asks twice at each start, against an empty packed Node and `loopback`. */

import { join } from 'node:path'
import { DEBIAN } from './contestants.ts'
import { type Executables, timed } from './spawn.ts'
import { type Claim, figure, ratio, rotated } from './stats.ts'

export function benchVersion({ flatnet, flatnetCni, empty }: Executables, rounds: number): Claim[] {
  const programs = [
    ['flatnet-cni', flatnetCni],
    ['flatnet', flatnet],
    ['loopback', join(DEBIAN, 'loopback')],
    ['an empty packed Node executable', empty],
  ] as const
  const samples = new Map<string, number[]>(programs.map(([name]) => [name, []]))
  for (let round = -2; round < rounds; round++) {
    for (const [name, path] of rotated(programs, round + 2)) {
      const { ms } = timed([path], { CNI_COMMAND: 'VERSION' })
      if (round >= 0) samples.get(name)?.push(ms)
    }
  }
  const by = new Map([...samples].map(([name, values]) => [name, figure(name, values)]))
  return [
    {
      title: 'VERSION, whole processes',
      figures: [...by.values()],
      rows: [
        ratio('VERSION flatnet-cni / loopback', by.get('flatnet-cni')!, by.get('loopback')!, 3, 2.2),
        ratio('VERSION flatnet / an empty one', by.get('flatnet')!, by.get(programs[3][0])!, 1.2),
      ],
    },
  ]
}
