/**
 * A member that has gone bad beside hosts behind cone NATs: it replays, forges and floods offers, letters and other
 * messages about UDP paths, and a stranger floods their ports with STUN. The pair stays direct, and another becomes so.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ControlMessage } from '../../gateway/links/types.ts'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { failures, pathTo, requestsTo, worstGap } from '../helpers/cluster/p2p-pair.ts'
import { type Orders, order } from '../helpers/hostile/bad-member.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { free, hold } from '../helpers/nat/held-udp.ts'
import { putBehindNat } from '../helpers/nat/nat-router.ts'
import { ROOT } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PATIENCE_MS = 60_000
/** Of a router that has no such mapping. */
const LIE = '192.0.2.99:7443'
const SOURCES = Array.from({ length: 40 }, (_, i) => `192.0.2.${200 + i}`)
/** On a busy machine UDP varies by itself, and hosts rightly leave such a path for a while. */
const IS_SLOW = /slower than the gateway path|jitter is larger than a round trip/

type Pair = readonly [TestHost, TestHost]

const direct = (...pairs: Pair[]): Promise<unknown> =>
  waitFor('the pairs are direct', PATIENCE_MS, async () => {
    const ways = pairs.flatMap(([one, two]) => [pathTo(one, two.index), pathTo(two, one.index)])
    return (await Promise.all(ways)).every(({ state }) => state === 'P2P_ACTIVE')
  })

/** How many messages and letters a host has refused, by reason. */
async function refused(host: TestHost): Promise<Readonly<Record<string, number>>> {
  const line =
    /^flatnet_(p2p_refused_messages|letters)_total\{(?:what="refused",)?reason="([^"]+)"\} (\d+)$/gm
  return Object.fromEntries(
    [...(await host.metrics()).matchAll(line)].map(([, kind, reason, n]) => [
      `${kind === 'letters' ? 'letters' : 'messages'}: ${reason}`,
      Number(n),
    ]),
  )
}

/** What the member sends to one host, over and over. */
function forgeries(to: number, heard: Orders): ControlMessage[] {
  const attempt = randomBytes(8).toString('hex')
  const candidates = [LIE]
  const letter = (from: number, at: number) => ({
    type: 'p2p.carry',
    hops: 1,
    letter: {
      ...{ from, to, seq: at, at, box: randomBytes(200).toString('base64') },
      signature: randomBytes(64).toString('base64'),
    },
  })
  const now = Date.now()
  return [
    ...heard.slice(0, 20).map(([, message]) => message),
    { type: 'p2p.offer', attempt, generation: 0, candidates, version: 1 },
    { type: 'p2p.offer', attempt, generation: Number.MAX_SAFE_INTEGER, candidates, version: 1 },
    { type: 'p2p.offer', attempt, generation: 1, candidates, version: 99 },
    { type: 'p2p.offer', attempt: 'none', generation: -1, candidates: 'none' },
    { type: 'p2p.answer', attempt, candidates },
    { type: 'p2p.promote', attempt, generation: 7 },
    { type: 'p2p.demote', attempt, generation: Number.MAX_SAFE_INTEGER, reason: 'loss' },
    { type: 'p2p.nothing' },
    letter(3, now),
    letter(4, now),
    letter(99, now),
    letter(3, now - 3_600_000),
    { type: 'p2p.carry', hops: 9, letter: {} },
  ] as unknown as ControlMessage[]
}

t.test(
  'hosts behind cone NATs and a member that has gone bad',
  { skip: needsRoot, timeout: 600_000 },
  async (t) => {
    const routers: string[] = []
    const net = await joinedHosts(t, 5, {
      p2p: true,
      async arrange(net) {
        for (const index of [3, 4, 5]) {
          net.host(index).ns.exec('ip', 'link', 'del', 'eth0')
          const { publicIp } = await putBehindNat(t, net.lan, net.host(index).ns, index, 'cone')
          routers.push(publicIp)
        }
        hold([net.host(5)])
      },
    })
    const [one, bad, three, four, five] = net.hosts as [TestHost, TestHost, TestHost, TestHost, TestHost]
    await direct([three, four])
    const socket = join(bad.dir, 'bad')
    await bad.stop()
    await bad.start({
      imports: [join(ROOT, 'test/helpers/hostile/bad-member.ts')],
      env: { FLATNET_BAD_MEMBER: socket },
    })
    await waitFor('the bad member has links', PATIENCE_MS, async () => (await bad.linksUp()).length === 4)
    const apple = await hostContainer(t, three, 'apple')
    const berry = await hostContainer(t, four, 'berry')
    const known = [three, four].map((host) => host.logged('path changed').length)
    const requests = requestsTo({ apple, berry }, 20)
    await requests.answered(20)

    await t.test('messages are refused and counted', async (t) => {
      const heard = await waitFor('it has heard offers', PATIENCE_MS, async () => {
        const all = await order(socket, [])
        return all.some(([, { type }]) => type === 'p2p.offer' || type === 'p2p.answer') ? all : undefined
      })
      await order(
        socket,
        [1, 3, 4, 5].flatMap((to) => forgeries(to, heard).map((message) => [to, message] as const)),
      )
      for (const host of [one, three, four]) await countsAll(t, host)
    })

    await t.test('another pair becomes direct meanwhile, at its true addresses', async (t) => {
      await stunFlood(t, net.lan, ['192.0.2.1:7443', ...routers.map((ip) => `${ip}:7443`)])
      const began = performance.now()
      await free([five])
      await direct([three, five], [four, five])
      t.comment(`direct ${Math.round(performance.now() - began)} ms after UDP may pass`)
      for (const [from, to] of [
        [three, five],
        [five, three],
        [five, four],
      ] as const)
        t.match((await pathTo(from, to.index)).p2p?.address, new RegExp(`^192\\.0\\.2\\.${100 + to.index}:`))
      await order(socket, [])
    })

    await t.test('the pair stayed direct', async (t) => {
      const answers = await requests.stop()
      t.same(
        failures(answers),
        [],
        `none of ${answers.length} requests failed, worst gap ${worstGap(answers)} ms`,
      )
      const left = [three, four].flatMap((host, i) =>
        host
          .logged('path changed')
          .slice(known[i])
          .filter(({ peer, path }) => peer === (i === 0 ? 4 : 3) && !path.startsWith('P2P_ACTIVE')),
      )
      t.same(
        left.map(({ reason }) => reason).filter((reason) => !IS_SLOW.test(reason)),
        [],
        'nothing of it ends the path',
      )
      for (const host of [one, three, four])
        t.equal(host.logged('gateway ends by an error that nobody caught').length, 0)
    })
  },
)

async function countsAll(t: Test, host: TestHost): Promise<void> {
  const reasons = ['messages: too many', 'messages: not understood', 'letters: forged', 'letters: malformed']
  const all = await waitFor(`host ${host.index} has refused all kinds`, PATIENCE_MS, async () => {
    const counts = await refused(host)
    return reasons.every((reason) => (counts[reason] ?? 0) > 0) ? counts : undefined
  })
  t.comment(`host ${host.index}: ${JSON.stringify(all)}`)
  t.ok(Object.keys(all).some((reason) => reason === 'letters: stranger' || reason === 'letters: expired'))
}

/** From many addresses of the switch that plays the internet. */
async function stunFlood(
  t: Test,
  lan: { readonly name: string; exec(...argv: [string, ...string[]]): string },
  targets: readonly string[],
): Promise<void> {
  const { spawn } = await import('node:child_process')
  const { once } = await import('node:events')
  for (const ip of SOURCES) lan.exec('ip', 'addr', 'add', `${ip}/24`, 'dev', 'lan')
  const program = [process.execPath, join(ROOT, 'test/helpers/hostile/stun-flood.ts')]
  const argv = ['netns', 'exec', lan.name, ...program, LIE, SOURCES.join(','), targets.join(',')]
  const flood = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => flood.kill('SIGKILL'))
  const [sent] = await once(flood.stdout, 'data')
  t.comment(`${String(sent).trim()} datagrams of STUN in the first second`)
}
