/** Tiers that are switched off: a LAN with both families and IPv4 off goes by IPv6; without any, by the gateways. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { TierInfo } from '../../core/api.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { pathTo } from '../helpers/cluster/p2p-pair.ts'
import { saysWhy } from '../helpers/cluster/why-not-direct.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const WAIT_MS = 60_000

/** Writes which tiers are off and, if the gateway runs, has it read that. */
function switchOff(host: TestHost, ...names: string[]): void {
  const file = join(host.dir, 'flatnet.yaml')
  const tiers = names.map((name) => `${name}: { enabled: false }`).join(', ')
  const text = readFileSync(file, 'utf8').replace(/^ {2}tiers:.*$/m, `  tiers: { ${tiers} }`)
  if (!text.includes(tiers)) throw new Error(`no tiers in ${file}`)
  writeFileSync(file, text)
  host.signal('SIGHUP')
}

const tiersOf = async (host: TestHost): Promise<(name: string) => TierInfo | undefined> => {
  const all: TierInfo[] = JSON.parse(await host.ok('tiers', '--json'))
  return (name) => all.find((tier) => tier.name === name)
}

t.test('tiers that are switched off', { skip: needsRoot, timeout: 180_000 }, async (t) => {
  const net = await joinedHosts(t, 2, {
    p2p: true,
    async arrange({ hosts }) {
      for (const { index, ns } of hosts)
        ns.exec('ip', 'addr', 'add', `2001:db8::${index}/64`, 'dev', 'eth0', 'nodad')
      switchOff(hosts[0]!, 'ipv4')
    },
  })
  const [one, two] = [net.host(1), net.host(2)]

  await t.test('IPv4 off at one end', async (t) => {
    for (const [host, to] of [
      [one, 2],
      [two, 1],
    ] as const) {
      const path = await waitFor(`host ${host.index} is direct`, WAIT_MS, async () => {
        const found = await pathTo(host, to)
        return found.state === 'P2P_ACTIVE' ? found : undefined
      })
      t.match(path, { tier: 'ipv6', p2p: { address: `[2001:db8::${to}]:7443` } })
    }
    const tier = await tiersOf(one)
    t.match(tier('ipv4'), { enabled: false, tries: 0, hosts: 0 })
    t.match(tier('ipv6'), { enabled: true, hosts: 1 })
    t.match(await one.ok('tiers'), /^ipv4 +off +0 +0 +0 /m)
    t.match(await one.metrics(), /^flatnet_tier_enabled\{tier="ipv4"\} 0$/m)
  })

  await t.test('no tier of UDP, no messages', async (t) => {
    switchOff(one, 'ipv6', 'ipv4', 'ice', 'punch', 'gossip')
    await waitFor('packets go by the gateways', WAIT_MS, async () => {
      const paths = await Promise.all([pathTo(one, 2), pathTo(two, 1)])
      return paths.every(({ state, via }) => state !== 'P2P_ACTIVE' && via === 'gateway')
    })
    await saysWhy(t, one, 2, 'every UDP address of this host is of a kind that is switched off on it')
    await saysWhy(t, two, 1, 'every UDP address of that host is of a kind that is switched off there')
    const ping = await one.exec(['ping', '-c', '1', '-W', '5', '10.100.2.1'])
    t.equal(ping.rc, 0, ping.stdout)
    t.match((await tiersOf(one))('gossip'), { enabled: false })
  })
})
