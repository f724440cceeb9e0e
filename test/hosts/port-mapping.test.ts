/** Two hosts behind symmetric NATs, which else use the hub: the router of one maps a port, and they are direct. */
import t, { type Test } from 'tap'
import type { PathInfo } from '../../core/api.ts'
import { joinedHosts, type TestHost, type TestNet } from '../helpers/cluster/hosts.ts'
import { pathTo } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { putBehindNat } from '../helpers/nat/nat-router.ts'
import { MAPPED_NETWORK, type PortMapper, portMapper } from '../helpers/nat/port-mapper.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** For two cores that other tests use as well. */
const WAIT_MS = 60_000

interface Mapped {
  readonly net: TestNet
  readonly one: TestHost
  readonly two: TestHost
  readonly mapper: PortMapper
}

/** Host 1 is the hub; host 2's router maps ports, host 3's does not. */
async function mappedPair(t: Test): Promise<Mapped> {
  let mapper: PortMapper | undefined
  const net = await joinedHosts(t, 3, {
    p2p: true,
    async arrange(net) {
      net.host(1).ns.exec('ip', 'route', 'add', MAPPED_NETWORK, 'dev', 'eth0')
      for (const index of [2, 3]) net.host(index).ns.exec('ip', 'link', 'del', 'eth0')
      const one = await putBehindNat(t, net.lan, net.host(2).ns, 2, 'symmetric')
      const two = await putBehindNat(t, net.lan, net.host(3).ns, 3, 'symmetric')
      two.router.exec('ip', 'route', 'add', MAPPED_NETWORK, 'dev', 'wan')
      mapper = await portMapper(t, one.router, 102)
    },
  })
  if (mapper === undefined) throw new Error('no router was made')
  return { net, one: net.host(2), two: net.host(3), mapper }
}

const bothPaths = ({ one, two }: Mapped): Promise<PathInfo[]> => Promise.all([pathTo(one, 3), pathTo(two, 2)])

const direct = (pair: Mapped): Promise<unknown> =>
  waitFor('direct', WAIT_MS, async () => (await bothPaths(pair)).every(({ state }) => state === 'P2P_ACTIVE'))

const MAPPING = ['7443 -> 192.168.2.2:7443']

t.test('a port mapping makes a path direct', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await mappedPair(t)
  const { one, two, mapper } = pair
  const began = performance.now()
  await direct(pair)
  t.comment(`direct ${Math.round(performance.now() - began)} ms after all had links to the hub`)
  t.same(mapper.mappings(), MAPPING)
  for (const path of await bothPaths(pair)) t.equal(path.tier, 'ipv4', 'no hub is between them')
  t.match((await pathTo(two, 2)).p2p, { address: '11.0.0.102:7443' }, 'by the mapped address')

  await t.test('status and netcheck tell it', async (t) => {
    const { portMapping } = await one.api('/v1/status')
    t.match(portMapping, { protocol: 'pcp', external: '11.0.0.102:7443', router: '192.168.2.1' })
    t.match(JSON.parse(await one.ok('netcheck', '--json')), {
      portMapping: { external: '11.0.0.102:7443' },
      behindNat: true,
      best: { name: 'h1' },
    })
    const why = async (): Promise<string> => (await two.api('/v1/status')).portMapping.reason
    await waitFor('silent router', WAIT_MS, async () => /PCP: .*NAT-PMP: .*UPnP: /.test(await why()))
  })

  await t.test('killed, the next gateway takes the mapping over', async (t) => {
    await one.kill()
    t.same(mapper.mappings(), MAPPING, 'the router knows nothing of it')
    await one.start()
    await waitFor('mapped again', WAIT_MS, async () => {
      const { portMapping } = await one.api('/v1/status')
      return portMapping?.external === '11.0.0.102:7443'
    })
    t.same(mapper.mappings(), MAPPING, 'one mapping, the same')
    await direct(pair)
  })

  await t.test('stopped, it is deleted', async (t) => {
    await one.stop()
    t.same(mapper.mappings(), [])
  })
})
