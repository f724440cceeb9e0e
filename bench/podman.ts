/**
 * Claim, for either Podman: `podman run --rm` of an idle container, on Flatnet, on Podman's own network and on none.
 */

import { readFileSync } from 'node:fs'
import { type Order, timed } from './spawn.ts'
import { type Claim, figure, ratio, rotated } from './stats.ts'

/** `podman` is Podman's own network: a bridge, by CNI in Podman 4 and by netavark in Podman 5. */
const NETWORKS = ['flatnet', 'podman', 'none'] as const

/** @param prefix of the claims' names; '' for Podman 4 */
export function benchPodman(
  { argv, image, env }: NonNullable<Order['podman']>,
  rounds: number,
  prefix = '',
): Claim[] {
  const samples = new Map<string, number[]>(NETWORKS.map((network) => [network, []]))
  const stderr = '/run/bench-podman'
  for (let round = -1; round < rounds; round++) {
    for (const network of rotated(NETWORKS, round + 1)) {
      const command = [...argv, 'run', '--rm', '--network', network, image, '/bin/busybox', 'true']
      const { ms, code } = timed(command, env, { stderr })
      if (code !== 0) throw new Error(`podman run --network ${network}: ${readFileSync(stderr, 'utf8')}`)
      if (round >= 0) samples.get(network)?.push(ms)
    }
  }
  const figures = [...samples].map(([network, values]) => figure(`--network ${network}`, values))
  const [flatnet, podman, none] = figures
  const extra = { ...podman!, value: podman!.value - none!.value }
  const own = { ...flatnet!, value: flatnet!.value - none!.value }
  return [
    {
      title: `${prefix}podman run --rm, a container that ends at once`,
      figures,
      rows: [
        ratio(`${prefix}podman run --rm, flatnet / podman network`, flatnet!, podman!, 0.75, 0.6),
        ratio(`${prefix}the network’s part of it, flatnet / podman`, own, extra, 0.5),
      ],
    },
  ]
}
