/** Makes four hosts of which each reaches only its neighbours: 3, 1, 2, 4. The ends are behind routers. */
import type { Test } from 'tap'
import { switchUdp } from '../cluster/configure.ts'
import { joinedHosts, type TestHost } from '../cluster/hosts.ts'
import { waitFor } from '../run/wait.ts'
import { type NatKind, putBehindNat } from './nat-router.ts'

const PATIENCE_MS = 60_000
/** Public addresses of the routers of the ends. */
export const PUBLIC = { 3: '192.0.2.103', 4: '192.0.2.104' } as const

type Four = [one: TestHost, two: TestHost, three: TestHost, four: TestHost]

/** A host in public takes no connection of that router's host; UDP passes, as the internet lets it. */
function refuse({ ns }: TestHost, end: keyof typeof PUBLIC): void {
  const rule = `inet cut in ip saddr ${PUBLIC[end]} tcp dport 7443 drop`
  ns.exec('nft', 'insert', 'rule', ...rule.split(' '))
}

/** @param kind of the ends' routers @returns the hosts by their numbers, once the three links stand, without UDP */
export async function hostsInChain(t: Test, kind: NatKind): Promise<Four> {
  const net = await joinedHosts(t, 4, {
    async arrange(net) {
      for (const index of [3, 4]) {
        net.host(index).ns.exec('ip', 'link', 'del', 'eth0')
        await putBehindNat(t, net.lan, net.host(index).ns, index, kind)
      }
    },
  })
  const hosts: Four = [net.host(1), net.host(2), net.host(3), net.host(4)]
  const [one, two] = hosts
  await waitFor('host 4 has a link to host 2', PATIENCE_MS, async () => (await two.linksUp()).includes(4))
  refuse(one, 4)
  refuse(two, 3)
  await waitFor('the chain has three links', PATIENCE_MS, async () => {
    const up = await Promise.all(hosts.map((host) => host.linksUp()))
    return JSON.stringify(up) === '[[2,3],[1,4],[1],[2]]'
  })
  return hosts
}

/** Switches UDP on at the two between. */
export async function openMiddle([one, two]: Four): Promise<void> {
  const between = [one, two]
  for (const host of between) switchUdp(host, true)
  await waitFor('both between answer STUN', PATIENCE_MS, async () => {
    const all = await Promise.all(between.map((host) => host.api('/v1/status')))
    return all.every(({ p2p }) => p2p?.problem === undefined)
  })
}
