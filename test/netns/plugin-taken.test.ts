/** A link that comes into being under an attachment's name just before its ADD makes it stays as it was. */
import { bridgeAddRequest, linkByName } from 'netlink-ts/route/link.ts'
import t from 'tap'
import { formatIpv4, macOf } from '../../core/addr.ts'
import type { Plan } from '../../plugin/plan.ts'
import { Undo } from '../../plugin/undo.ts'
import { createVeth } from '../../plugin/veth.ts'
import { live } from '../helpers/kernel/netlink-live.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'

const NAME = 'fn0123456789'

const planFor = (ip: number): Plan => ({
  dataDir: '/none',
  bridge: 'br0',
  bridgeIp: 0x0a640101,
  bridgeMac: macOf(0x0a640101),
  prefixLen: 24,
  mtu: 1500,
  hostIfname: NAME,
  hostMac: `fe${macOf(ip).slice(2)}`,
  alias: `flatnet net c1 eth0 ${formatIpv4(ip)}/24`,
  ifname: 'eth0',
  mac: macOf(ip),
  ip,
  hairpin: true,
  antiSpoof: false,
  routes: [],
})

const first = planFor(0x0a64010a)
const second = planFor(0x0a64010b)

async function host(t: Parameters<typeof live>[0]) {
  const [made, container, other] = [await live(t), await live(t), await live(t)]
  made.route.execute(bridgeAddRequest({ name: 'br0', up: true }))
  const bridge = linkByName(made.route, 'br0')!
  const create = (plan: Plan, fd = container.fd) => createVeth(made.route, fd, bridge, plan, new Undo())
  const seen = () => {
    const link = linkByName(made.route, NAME)
    return { alias: link?.alias ?? '', names: link?.altNames }
  }
  return { create, seen, other, exec: made.exec }
}

const TAKEN = { code: 'ERR_FLATNET_KERNEL', message: /fn0123456789 was made meanwhile/ }

for (const how of ['alone', 'a port of the bridge'] as const) {
  t.test(`a link that another program made, ${how}`, { skip: needsRoot }, async (t) => {
    const { create, seen, exec } = await host(t)
    exec('ip', 'link', 'add', NAME, 'type', 'veth', 'peer', 'name', 'theirs')
    if (how !== 'alone') exec('ip', 'link', 'set', NAME, 'master', 'br0')
    const before = exec('ip', '-d', 'link', 'show', NAME)
    t.throws(() => create(first), TAKEN)
    t.same(seen(), { alias: '', names: [] })
    t.equal(exec('ip', '-d', 'link', 'show', NAME), before)
    t.notOk(exec('ip', '-d', 'link').includes('fnip-'), 'and the address is free')
  })
}

t.test('the link of another ADD of the same container', { skip: needsRoot }, async (t) => {
  const { create, seen, other } = await host(t)
  create(first)
  const before = seen()
  t.same(before, { alias: first.alias, names: ['fnip-10.100.1.10'] })
  t.throws(() => create(second, other.fd), TAKEN)
  t.same(seen(), before, 'of another address')
  t.throws(() => create(first, other.fd), TAKEN)
  t.same(seen(), before, 'of the same address')
})

t.test('a link that another program made, and an address that is held', { skip: needsRoot }, async (t) => {
  const { create, seen, exec } = await host(t)
  exec('ip', 'link', 'add', NAME, 'type', 'veth', 'peer', 'name', 'theirs')
  exec('ip', 'link', 'add', 'holder', 'type', 'bridge')
  exec('ip', 'link', 'property', 'add', 'dev', 'holder', 'altname', 'fnip-10.100.1.10')
  t.throws(() => create(first), TAKEN)
  t.same(seen(), { alias: '', names: [] })
  t.match(exec('ip', 'link', 'show', 'holder'), 'fnip-10.100.1.10')
})
