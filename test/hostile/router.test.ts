/**
 * A container says that it is an IPv6 router (CVE-2020-10749), or a better next hop for IPv4: neither the host nor
 * other containers believe it.
 */
import t, { type Test } from 'tap'
import type { CniHost } from '../helpers/cni/cni.ts'
import { faultHost } from '../helpers/cni/fault.ts'
import { attached, pings } from '../helpers/cni/fault-servers.ts'
import { repair } from '../helpers/cni/repair.ts'
import { dropped, macOf } from '../helpers/hostile/observe.ts'
import { redirect, routerAdvertisement, sendFrames } from '../helpers/hostile/raw-frames.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** Of a container named `a` with the address 10.100.1.10. */
const MAC = '0a:64:0a:64:01:0a'

const defaultOf = (host: CniHost, netns?: string): Promise<string> =>
  host.m.exec('ip', ...(netns === undefined ? [] : ['-n', netns]), '-6', 'route', 'show', 'default')

/** A neighbour that believes in routers, beside the containers on the bridge: what it hears, they hear. */
async function witness(host: CniHost): Promise<void> {
  await host.m.sh(`ip netns add witness
    ip netns exec witness sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/accept_ra'
    ip link add witness0 master flatnet0 type veth peer name eth0 netns witness
    ip link set witness0 up; ip -n witness link set eth0 up`)
  await waitFor('the neighbour has its link-local address', 10_000, async () =>
    /fe80/.test(await host.m.exec('ip', '-n', 'witness', '-6', 'addr', 'show', 'eth0', '-tentative')),
  )
}

async function advertised(host: CniHost): Promise<void> {
  await sendFrames(
    host.m,
    'a',
    Array.from({ length: 3 }, () => routerAdvertisement(MAC)),
  )
}

const believes = (t: Test, host: CniHost, netns: string) =>
  waitFor(`${netns} takes the router`, 10_000, async () => (await defaultOf(host, netns)) !== '').then(() =>
    t.pass(`${netns} would have taken the router`),
  )

for (const executable of executables()) {
  t.test(`${executable.name}: no router advertisement leaves a container`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await attached(host, 'a')
    await attached(host, 'b')
    await witness(host)
    await advertised(host)
    const counted = () => host.m.exec('nft', 'list', 'counter', 'bridge', 'flatnet', 'router_messages')
    t.match(await counted(), /packets 3 /, 'the bridge dropped and counted them')
    for (const netns of ['witness', 'b', undefined]) t.equal(await defaultOf(host, netns), '')
    await host.m.exec('nft', 'flush', 'chain', 'bridge', 'flatnet', 'leave')
    await advertised(host)
    await believes(t, host, 'witness')
    t.equal(await defaultOf(host, 'b'), '', 'a container of ours does not listen')
    t.equal(await defaultOf(host), '', 'nor does the host')
  })

  t.test(
    `${executable.name}: the bridge has no IPv6 unless it was given an address`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const key = '/proc/sys/net/ipv6/conf/flatnet0'
      const kernel = (netns?: string): Promise<string> =>
        host.m.exec(
          ...(netns === undefined ? [] : ['ip', 'netns', 'exec', netns]),
          ...(netns === undefined
            ? ['cat', `${key}/accept_ra`, `${key}/disable_ipv6`]
            : ['cat', '/proc/sys/net/ipv6/conf/eth0/accept_ra']),
        )
      await attached(host, 'a')
      t.equal(await kernel(), '0\n1\n', 'accept_ra and disable_ipv6 of the bridge')
      t.equal(await kernel('a'), '0\n', 'accept_ra in the container')
      t.equal(await host.m.exec('ip', '-6', 'addr', 'show', 'flatnet0'), '', 'not even a link-local one')
      const prevResult = await host.ok('ADD', { containerId: 'b', netns: await host.container('b') })
      const check = () => host.call('CHECK', { containerId: 'b', conf: { prevResult } })
      t.equal((await check()).rc, 0)
      await host.m.sh(`echo 1 >${key}/accept_ra; echo 0 >${key}/disable_ipv6`)
      const reply = await check()
      const told = `${reply.json?.msg} ${reply.json?.details}`
      t.match(told, /sysctl net\.ipv6\.conf\.flatnet0\.accept_ra is 1, not 0/)
      t.match(told, /sysctl net\.ipv6\.conf\.flatnet0\.disable_ipv6 is 0, not 1/)
      t.equal(await kernel(), '1\n0\n', 'CHECK only tells')
      await attached(host, 'c')
      t.equal(await kernel(), '0\n1\n', 'the next ADD puts both back')
      t.equal((await check()).rc, 0)
      await host.m.sh(`echo 1 >${key}/accept_ra; echo 0 >${key}/disable_ipv6`)
      await repair(host)
      t.equal(await kernel(), '0\n1\n', 'and so does the gateway')
      await host.m.sh(`echo 0 >${key}/disable_ipv6; ip -6 addr add fd00:1::1/64 dev flatnet0 nodad`)
      await attached(host, 'd')
      t.match(await host.m.exec('ip', '-6', 'addr', 'show', 'flatnet0'), /fd00:1::1/, 'an address stays')
      t.equal((await check()).rc, 0, 'and is no fault')
    },
  )

  t.test(`${executable.name}: no ICMP redirect leaves a container`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    const { m } = host
    // Only the next hop is believed, so without this the redirect would be dropped for its source.
    const a = await attached(host, 'a', [], { antiSpoof: false })
    const b = await attached(host, 'b')
    // A namespace takes over this machine's settings, which may say otherwise.
    await m.sh(`ip netns exec b sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/accept_redirects'`)
    t.ok(await pings(m, 'b', a), 'the victim knows its neighbour')
    const way = { from: await macOf(m, 'eth0', 'a'), to: await macOf(m, 'eth0', 'b') }
    const bridge = { from: way.from, to: await macOf(m, 'flatnet0') }
    const sent = { sender: '10.100.1.1', destination: '198.51.100.7', nextHop: a }
    const toVictim = redirect({ ...way, ...sent, receiver: b })
    await sendFrames(m, 'a', [toVictim, redirect({ ...bridge, ...sent, receiver: '10.100.1.1' })])
    t.equal(await dropped(m, 'router_messages', 'bridge'), 2, 'both are dropped and counted')
    const hop = (): Promise<string> => m.exec('ip', '-n', 'b', 'route', 'get', sent.destination)
    t.match(await hop(), 'via 10.100.1.1 ', 'the next hop stays')
    t.ok(await pings(m, 'a', b), 'other messages of ICMP pass')
    await m.exec('nft', 'flush', 'chain', 'bridge', 'flatnet', 'leave')
    await sendFrames(m, 'a', [toVictim])
    await waitFor('the victim believes it', 10_000, async () => (await hop()).includes(`via ${a} `))
    t.pass('nothing else would have stopped it')
  })
}
