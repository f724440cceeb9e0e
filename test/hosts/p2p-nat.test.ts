/** A host behind a router that translates its address, a router that forgets, and a host that gets another address. */
import t from 'tap'
import {
  becomesDirect,
  directAgain,
  failures,
  metricsTo,
  type P2pPair,
  PATIENCE_MS,
  p2pPair,
  pathTo,
  requestsTo,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot, run } from '../helpers/kernel/netns.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

const REBOUND_MS = 2_000
const MOVED_MS = 20_000

/** The spare host becomes the router of host 1, which from now on has an address of its own network only. */
function putBehindRouter({ net, one, two }: P2pPair, masquerade: string): void {
  const router = net.host(3)
  router.ns.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1')
  router.ns.exec('ip', 'addr', 'add', '198.51.100.1/24', 'dev', 'eth0')
  one.ns.exec('ip', 'addr', 'add', '198.51.100.2/24', 'dev', 'eth0')
  one.ns.exec('ip', 'addr', 'del', `${one.ip}/24`, 'dev', 'eth0')
  one.ns.exec('ip', 'route', 'add', '192.0.2.0/24', 'via', '198.51.100.1', 'src', '198.51.100.2')
  // All are on one switch: the router must not tell host 1 of the short way, nor host 2 know one.
  for (const scope of ['all', 'eth0'])
    router.ns.exec('sysctl', '-qw', `net.ipv4.conf.${scope}.send_redirects=0`)
  two.ns.exec('ip', 'route', 'add', 'unreachable', '198.51.100.0/24')
  run(
    'ip',
    ['netns', 'exec', router.ns.name, 'nft', '-f', '-'],
    `table ip router {
       chain out { type nat hook postrouting priority 100; ip saddr 198.51.100.0/24 ip daddr 192.0.2.0/24 ${masquerade}; }
     }`,
  )
}

for (const masquerade of ['masquerade', 'masquerade random,fully-random'])
  t.test(`host 1 behind a router: ${masquerade}`, { skip: needsRoot, timeout: 600_000 }, async (t) => {
    const pair = await p2pPair(t, { spare: 1 })
    const { net, one, two } = pair
    await Promise.all([one.stop(), two.stop()])
    putBehindRouter(pair, masquerade)
    await Promise.all([two.start(), one.start()])
    const began = performance.now()
    await becomesDirect(pair)
    t.comment(`direct ${Math.round(performance.now() - began)} ms after the start`)
    const flows = net.host(3).ns.exec('conntrack', '-L', '-p', 'udp')
    t.match(flows, /src=198\.51\.100\.2 dst=192\.0\.2\.2 .*dport=7443 .*src=192\.0\.2\.2 dst=192\.0\.2\.3/)

    await t.test('the router forgets its flows under traffic', async (t) => {
      const seenFrom = async () => (await pathTo(two, 1)).p2p?.address
      await keepsBound(t, 'worst gap', REBOUND_MS, async () => {
        await directAgain(pair)
        const before = await seenFrom()
        const requests = requestsTo(pair, 100)
        await requests.answered(50)
        // Of UDP alone: a TCP connection cannot outlive a router that gives it another port.
        net.host(3).ns.exec('conntrack', '-D', '-p', 'udp')
        await requests.answered(250)
        await waitFor('routes of metric 100 at both ends', PATIENCE_MS, () =>
          [metricsTo(one, 2), metricsTo(two, 1)].every((r) => r.includes(100)),
        )
        const answers = await requests.stop()
        t.same(failures(answers), [], `none of ${answers.length} requests failed`)
        await becomesDirect(pair)
        const after = await seenFrom()
        t.comment(`host 2 sends to ${before}, then to ${after}`)
        if (masquerade.includes('random')) t.not(after, before, 'the router gave it another port')
        return worstGap(answers)
      })
    })
  })

t.test('the address of host 2 changes', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { two } = pair
  // Or the kernel deletes the new one, which is second in its network, together with the old one.
  two.ns.exec('sysctl', '-qw', 'net.ipv4.conf.eth0.promote_secondaries=1')
  const ips = [two.ip, '192.0.2.77', '192.0.2.78', '192.0.2.79']
  await keepsBound(t, 'direct by the new address', MOVED_MS, async () => {
    await becomesDirect(pair)
    const [old = '', ip = ''] = ips
    ips.shift()
    const requests = requestsTo(pair, 50)
    await requests.answered(50)
    two.ns.exec('ip', 'addr', 'add', `${ip}/24`, 'dev', 'eth0')
    two.ns.exec('ip', 'addr', 'del', `${old}/24`, 'dev', 'eth0')
    const began = performance.now()
    await waitFor('direct by the new address', PATIENCE_MS, async () => {
      const { state, p2p } = await pathTo(pair.one, 2)
      return state === 'P2P_ACTIVE' && String(p2p?.address).startsWith(`${ip}:`)
    })
    await becomesDirect(pair)
    const ms = performance.now() - began
    const answers = await requests.stop()
    t.comment(`worst gap ${worstGap(answers)} ms`)
    t.same(failures(answers), [], `none of ${answers.length} requests failed`)
    return ms
  })
})
