/**
 * What may leave a port, over its life: ADD, the ports of older releases, firewalls that flush, CHECK, DEL
 * (kernel/guard.ts). That forged packets are dropped is in test/hostile/spoofing.test.ts.
 */
import t, { type Test } from 'tap'
import { parseIpv4 } from '../../core/addr.ts'
import type { CniHost } from '../helpers/cni/cni.ts'
import { faultHost } from '../helpers/cni/fault.ts'
import { attached, pings } from '../helpers/cni/fault-servers.ts'
import { repair } from '../helpers/cni/repair.ts'
import { extras, groupOf } from '../helpers/hostile/guarded.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { type Executable, executables } from '../helpers/run/executable.ts'

const MAC = '02:00:00:00:00:aa'
const WITH_MAC = { containerId: 'm', conf: { runtimeConfig: { mac: MAC, portMappings: [] } } }
const UPTO_32 = 2 ** 32 - 1
const FORGET = 'nft flush set bridge flatnet armed; nft flush set bridge flatnet sources'

/** Containers `a`, with the MAC of its address, and `m`, with one that was asked for. */
async function two(t: Test, executable: Executable): Promise<CniHost> {
  const host = await faultHost(t, executable)
  await attached(host, 'a')
  await host.container('m')
  await host.ok('ADD', WITH_MAC)
  return host
}

const lease = (host: CniHost, containerId: string) => {
  const found = host.leases().find((one) => one.containerId === containerId)
  return { ...found, ifname: found?.hostIfname ?? '', ip: parseIpv4(found?.ip ?? '') ?? 0 }
}

const group = (host: CniHost, containerId: string): Promise<number> =>
  groupOf(host.m, lease(host, containerId).ifname)

/** All four ways between the two containers and the bridge. */
const reach = async (t: Test, host: CniHost, when: string): Promise<void> => {
  const [a, m] = [host.leases().find((l) => l.containerId === 'a')?.ip, lease(host, 'm').ip]
  t.ok(await pings(host.m, 'm', a ?? ''), `m reaches a ${when}`)
  t.ok(await pings(host.m, 'a', host.leases().find((l) => l.containerId === 'm')?.ip ?? String(m)), when)
  for (const netns of ['a', 'm']) t.ok(await pings(host.m, netns, '10.100.1.1'), `${netns} reaches the host`)
}

for (const executable of executables()) {
  t.test(`${executable.name}: a port says by its group what may leave it`, { skip: needsRoot }, async (t) => {
    const host = await two(t, executable)
    t.equal(await group(host, 'a'), lease(host, 'a').ip, 'the address, where the MAC is made of it')
    const own = UPTO_32 - lease(host, 'm').ip
    t.equal(await group(host, 'm'), own, 'another number, where the MAC was asked for')
    t.same(await extras(host.m), [`${own} ${MAC} 10.100.1.11`])
    await reach(t, host, 'after ADD')
    await attached(host, 'b', [], { antiSpoof: false })
    t.equal(await group(host, 'b'), 0, 'none without antiSpoof')
    const before = await host.m.exec('nft', 'list', 'set', 'bridge', 'flatnet', 'sources')
    await host.ok('DEL', { containerId: 'a' })
    await attached(host, 'c')
    t.equal(
      await host.m.exec('nft', 'list', 'set', 'bridge', 'flatnet', 'sources'),
      before,
      'no element came or went',
    )
    await host.ok('DEL', { containerId: 'm' })
    t.same(await extras(host.m), [], 'DEL takes those of a MAC that was asked for')
    await host.container('n')
    await host.ok('ADD', { ...WITH_MAC, containerId: 'n' })
    await host.m.exec('ip', 'netns', 'del', 'n')
    await host.ok('DEL', { containerId: 'n' })
    t.same(await extras(host.m), [], 'also when its namespace went first')
    const port = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
    await attached(host, 'd', [port])
    const failed = await host.call('ADD', {
      ...WITH_MAC,
      conf: { runtimeConfig: { mac: MAC, portMappings: [port] } },
    })
    t.match(failed.json, { code: 104 })
    t.same(await extras(host.m), [], 'and so does an ADD that fails')
  })

  t.test(
    `${executable.name}: the gateway guards the ports of an older release`,
    { skip: needsRoot },
    async (t) => {
      const host = await two(t, executable)
      const older = `${FORGET}; for i in $(ls /sys/class/net | grep ^fn); do ip link set $i group 0; done`
      await host.m.sh(older)
      t.match(
        await repair(host, { antiSpoof: undefined }),
        { guarded: 0 },
        'not before an ADD says that it may',
      )
      t.same([await group(host, 'a'), await group(host, 'm')], [0, 0])
      // Every 10 ms, over the whole repair.
      const flood = host.m.run([
        'ip',
        'netns',
        'exec',
        'm',
        'busybox',
        'ping',
        '-q',
        '-i',
        '0.01',
        '-c',
        '150',
        '10.100.1.10',
      ])
      t.match(await repair(host), { guarded: 2, errors: [] })
      t.match((await flood).stdout, /150 packets transmitted, 150 packets received/, 'no packet is lost')
      t.equal(await group(host, 'a'), lease(host, 'a').ip)
      t.equal((await extras(host.m)).length, 1)
      await reach(t, host, 'after the repair')
      t.match(await repair(host), { guarded: 0 }, 'nothing to do is nothing done')

      await host.m.sh(FORGET)
      await reach(t, host, 'after a flush')
      await attached(host, 'b')
      await reach(t, host, 'when an ADD has put in what is made of addresses')
      t.match(await repair(host), { guarded: 1, errors: [] }, 'the gateway knows the other MAC')
      const gone = `${UPTO_32 - (parseIpv4('10.100.1.99') ?? 0)} . ${MAC} . 10.100.1.99`
      await host.m.exec('nft', 'add', 'element', 'bridge', 'flatnet', 'sources', `{ ${gone} }`)
      await repair(host)
      t.equal((await extras(host.m)).length, 1, 'what a killed ADD left is removed')
      t.match(await repair(host, { antiSpoof: false }), { guarded: 3, errors: [] })
      t.same([await group(host, 'a'), await group(host, 'm')], [0, 0], 'switched off, the ports are free')
    },
  )

  t.test(`${executable.name}: CHECK`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('a')
    const prevResult = await host.ok('ADD', { containerId: 'a' })
    const check = (over: object = {}) =>
      host.call('CHECK', { containerId: 'a', conf: { prevResult, ...over } })
    const { ifname, ip } = lease(host, 'a')
    t.equal((await check()).rc, 0)
    await host.m.exec('ip', 'link', 'set', ifname, 'group', '7')
    t.match((await check()).json, { code: 103, msg: `host interface ${ifname} has the group 7, not ${ip}: ` })
    t.equal((await check({ antiSpoof: false })).rc, 0)
    await host.m.exec('ip', 'link', 'set', ifname, 'group', '0')
    t.equal((await check()).rc, 0, 'a port of an older release is no fault of its container')
    await host.m.sh(`ip link set ${ifname} group ${ip}; ${FORGET}`)
    t.match((await check()).json, { msg: `the nftables rules do not know what ${ifname} may send` })
    t.match(await repair(host), { guarded: 1 })
    t.equal((await check()).rc, 0)
  })
}
