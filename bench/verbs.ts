/** Claim: ADD and DEL against Debian's plugins and netavark, and what Flatnet adds to an empty executable. */

import { execFileSync } from 'node:child_process'
import { close } from 'netlink-ts/libc.ts'
import { openNetns } from 'netlink-ts/netns.ts'
import { bridgeAddRequest, linkByName, linkDelRequest, vethAddRequest } from 'netlink-ts/route/link.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Contestant, debian, flatnet, Netavark } from './contestants.ts'
import { type Executables, timed } from './spawn.ts'
import { type Claim, type Figure, figure, ratio, rotated } from './stats.ts'

const PORTS = [{ hostPort: 18_080, containerPort: 80, protocol: 'tcp' }]

export function benchVerbs(executables: Executables, dir: string, rounds: number): Claim[] {
  const { flatnet: pkg, flatnetCni: cni, empty } = executables
  const contestants: Contestant[] = [
    flatnet('flatnet-cni', cni, dir, { hostId: 1 }),
    flatnet('flatnet', pkg, dir, { hostId: 2 }),
    flatnet('flatnet-cni, a port', cni, dir, { hostId: 3, ports: PORTS }),
    ...debian(dir),
    new Netavark(dir),
  ]
  const adds = new Map<string, number[]>(contestants.map(({ name }) => [name, []]))
  const dels = new Map<string, number[]>(contestants.map(({ name }) => [name, []]))
  const bare: number[] = []
  const kernel: number[] = []
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  host.execute(bridgeAddRequest({ name: KERNEL_BRIDGE, up: true }))
  for (let round = -2; round < rounds; round++) {
    for (const contestant of rotated(contestants, round + 2)) {
      const container = `c${round + 2}`
      execFileSync('ip', ['netns', 'add', container])
      const add = contestant.add(container)
      const del = contestant.del(container)
      execFileSync('ip', ['netns', 'del', container])
      // The first rounds make the bridge and the rules, and warm the page cache.
      if (round < 0) continue
      adds.get(contestant.name)?.push(add.ms)
      dels.get(contestant.name)?.push(del.ms)
    }
    if (round < 0) continue
    bare.push(timed([empty], {}).ms)
    execFileSync('ip', ['netns', 'add', 'kernel'])
    kernel.push(kernelDeletion(host, 'kernel'))
    execFileSync('ip', ['netns', 'del', 'kernel'])
  }
  const emptyFigure = figure('an empty packed Node executable', bare)
  return [
    claimAdd(figures(adds), emptyFigure),
    claimDel(figures(dels), emptyFigure, figure('the kernel’s deletion of a pair', kernel)),
  ]
}

const figures = (samples: ReadonlyMap<string, readonly number[]>): Map<string, Figure> =>
  new Map([...samples].map(([name, values]) => [name, figure(name, values)]))

function claimAdd(by: Map<string, Figure>, empty: Figure): Claim {
  const at = (name: string): Figure => by.get(name)!
  return {
    title: 'ADD, whole processes',
    figures: [...by.values(), empty],
    rows: [
      ratio('ADD flatnet-cni / bridge+ipMasq', at('flatnet-cni'), at('bridge+ipMasq'), 0.5, 0.4),
      ratio("ADD flatnet-cni / Podman's chain", at('flatnet-cni'), at("Podman's chain"), 0.25, 0.2),
      ratio('ADD flatnet-cni / bridge', at('flatnet-cni'), at('bridge'), 1.2, 0.9),
      ratio("ADD flatnet / Podman's chain", at('flatnet'), at("Podman's chain"), 0.75, 0.65),
      ratio('ADD flatnet-cni / netavark', at('flatnet-cni'), at('netavark'), 1),
      above('ADD flatnet above an empty executable', at('flatnet'), empty, 0),
    ],
  }
}

function claimDel(by: Map<string, Figure>, empty: Figure, kernel: Figure): Claim {
  const at = (name: string): Figure => by.get(name)!
  return {
    title: 'DEL, whole processes',
    figures: [...by.values(), kernel],
    rows: [
      ratio("DEL flatnet-cni / Podman's chain", at('flatnet-cni'), at("Podman's chain"), 0.35, 0.25),
      ratio('DEL flatnet-cni / bridge', at('flatnet-cni'), at('bridge'), 1.2),
      ratio('DEL flatnet-cni / netavark', at('flatnet-cni'), at('netavark'), 1),
      above('DEL flatnet above an empty one and the kernel', at('flatnet'), empty, kernel.value),
    ],
  }
}

const above = (what: string, a: Figure, b: Figure, less: number) =>
  ({ what, value: a.value - b.value - less, unit: 'ms', bound: 15 }) as const

const KERNEL_BRIDGE = 'bench-kernel'

/** Measures how long the kernel takes to delete a veth pair, by a single message. */
function kernelDeletion(host: NetlinkSocket, container: string): number {
  const name = 'bench-pair'
  const master = linkByName(host, KERNEL_BRIDGE)?.index
  const netns = openNetns(`/run/netns/${container}`)
  try {
    host.execute(vethAddRequest({ name, master, up: true, peer: { name: 'eth0', netns } }))
  } finally {
    close(netns)
  }
  execFileSync('ip', ['-n', container, 'link', 'set', 'eth0', 'up'])
  const began = performance.now()
  host.execute(linkDelRequest({ name }))
  return performance.now() - began
}
