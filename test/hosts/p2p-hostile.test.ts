/**
 * What a machine in the middle, a stranger and a bad member can do to a UDP path: traffic goes on, and the path may
 * end.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hostContainer, ipv4Received } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import {
  becomesDirect,
  directAgain,
  failures,
  leavesUdp,
  metricsTo,
  type P2pPair,
  PATIENCE_MS,
  p2pPair,
  p2pPid,
  pathTo,
  requestsTo,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { udpFaults } from '../helpers/cluster/udp-faults.ts'
import { type Sequence, sequenceClient, sequenceServer } from '../helpers/cluster/udp-sequence.ts'
import { HARMS } from '../helpers/hostile/hostile-relay.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { heldTo } from '../helpers/nat/held-udp.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { ROOT } from '../helpers/run/executable.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

const GAP_MS = 1_200
const ENDS_MS = 5_000
/** On a busy machine the program in the middle is slow by itself, and hosts rightly leave such a path. */
const IS_SLOW = /slower than the gateway path|jitter is larger than a round trip/
const HARMFUL = 500

/** The sum of these gauges of a host: `forged`, `replayed`, `malformed`, `packets`, and `stray`. */
async function refusals(host: TestHost): Promise<Record<string, number>> {
  const text = await host.metrics()
  const found: Record<string, number> = {}
  for (const [, reason = '', n] of text.matchAll(
    /^flatnet_p2p_refused_datagrams\{host="\d+",reason="(\w+)"\} (\d+)$/gm,
  ))
    found[reason] = (found[reason] ?? 0) + Number(n)
  const [, strays = '0'] = /^flatnet_p2p_stray_datagrams (\d+)$/m.exec(text) ?? []
  return { ...found, stray: Number(strays) }
}

/** Which counter each harm has to raise; datagrams that come late are in order. */
const COUNTED: Readonly<Record<(typeof HARMS)[number], readonly string[]>> = {
  replay: ['replayed'],
  truncate: ['forged', 'malformed', 'stray'],
  flip: ['forged', 'stray'],
  foreign: ['forged', 'replayed'],
  reorder: [],
}

/** Numbered packets from apple to berry. @returns what came so far */
function numbered({ apple, berry }: P2pPair): { sequence(): Sequence; stop(): void } {
  const server = berry.spawn(...sequenceServer())
  let last: Sequence = { received: 0, repeated: 0, highest: 0 }
  let rest = ''
  server.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    const line = lines.at(-1)
    if (line !== undefined) last = JSON.parse(line)
  })
  const client = apple.spawn(...sequenceClient(berry.ip, 200))
  return { sequence: () => last, stop: () => void client.kill('SIGKILL') }
}

t.test('a machine in the middle', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t, { spare: 1 })
  const { net, one, two, faults } = pair
  await becomesDirect(pair)
  const relay = await faults.hostile(t, net, 1, 2)
  await becomesDirect(pair)
  const pids = [one, two].map(p2pPid)
  const { sequence, stop } = numbered(pair)
  await waitFor('numbered packets arrive', PATIENCE_MS, () => sequence().received > 50)

  /** What the hosts wrote down of their paths since so many lines, but for promotions and paths that are slow. */
  const lost = (known: readonly number[]): string[] =>
    [one, two].flatMap((host, i) =>
      host
        .logged('path changed')
        .slice(known[i])
        .filter(({ path, reason }) => !path.startsWith('P2P_ACTIVE') && !IS_SLOW.test(reason))
        .map(({ path, reason }) => `${path}: ${reason}`),
    )

  /** In how many tries a host left the path, of all kinds of harm. */
  let leaves = 0

  /** Does harm once. @returns the worst gap between answers, ms; without end if a host left the path */
  const harmed = async (t: Test, harm: (typeof HARMS)[number]): Promise<number> => {
    await directAgain(pair)
    const before = await Promise.all([one, two].map(refusals))
    const known = [one, two].map((host) => host.logged('path changed').length)
    const [from, first] = [relay.sent(), sequence()]
    const requests = requestsTo(pair, 50)
    relay.order(harm)
    // A path that is left has few datagrams to do harm to, and held back probes keep it from coming back.
    await waitFor(
      `${HARMFUL} hostile datagrams`,
      PATIENCE_MS,
      () => relay.sent() - from >= HARMFUL || lost(known).length > 0,
    )
    await requests.answered(200)
    relay.order('none')
    const answers = await requests.stop()
    const [last, left] = [sequence(), lost(known)]
    t.comment(
      `${relay.sent() - from} datagrams, worst gap ${worstGap(answers)} ms (bound ${GAP_MS}), ` +
        `${last.received - first.received} of ${last.highest - first.highest} packets`,
    )
    t.same(failures(answers), [], `none of ${answers.length} requests failed`)
    t.equal(last.repeated, 0, 'no packet arrived twice')
    t.ok(last.received > first.received + 100, 'packets went on')
    t.same([one, two].map(p2pPid), pids, 'the same processes')
    for (const what of left) t.comment(what)
    if (left.length > 0) {
      leaves++
      return Number.POSITIVE_INFINITY
    }
    for (const [i, host] of [one, two].entries())
      await waitFor(`host ${i + 1} counts ${COUNTED[harm]}`, PATIENCE_MS, async () => {
        const now = await refusals(host)
        return COUNTED[harm].every((reason) => (now[reason] ?? 0) > (before[i]?.[reason] ?? 0))
      })
    t.comment(JSON.stringify(await refusals(one)))
    return worstGap(answers)
  }

  for (const harm of HARMS)
    await t.test(harm, (t) =>
      keepsBound(t, 'no harm ends the path; worst gap', GAP_MS, () => harmed(t, harm)),
    )
  // A busy machine may end it as well, and does not do so again and again.
  t.ok(leaves <= 1, `a host left the path in ${leaves} tries`)
  stop()
})

t.test('a member that forges sources', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3, { p2p: true })
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const apple = await hostContainer(t, one, 'apple')
  // With it the container's own port drops the forged packets.
  const berry = await hostContainer(t, two, 'berry', { conf: { antiSpoof: false } })
  const cherry = await hostContainer(t, three, 'cherry')
  const pid = p2pPid(two)
  await two.stop()
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
  await two.start({ imports: [join(ROOT, 'test/helpers/hostile/no-check.ts')] })
  const pair = { net, one, two, apple, berry, faults: udpFaults(net) }
  await becomesDirect(pair)
  berry.ns.exec('ip', 'addr', 'add', `${cherry.ip}/32`, 'dev', 'lo')
  const quiet = ipv4Received(apple)
  // Not once: those that a path carries which was demoted meanwhile are counted elsewhere.
  await waitFor('five forged packets are counted', PATIENCE_MS, async () => {
    berry.ns.exec('sh', '-c', `busybox ping -c 5 -i 0.1 -W 1 -I ${cherry.ip} ${apple.ip} || true`)
    return ((await refusals(one))['packets'] ?? 0) >= 5
  })
  t.equal(ipv4Received(apple), quiet, 'nothing of it reached the container')
  berry.ns.exec('busybox', 'ping', '-c', '1', '-W', '10', apple.ip)
  t.equal(ipv4Received(apple), quiet + 1, 'what is in order does')
  await becomesDirect(pair)

  await t.test('and is revoked', async (t) => {
    t.same(
      [metricsTo(one, 2), metricsTo(two, 1)],
      [
        [100, 200],
        [100, 200],
      ],
    )
    using stalls = new Stalls()
    await one.ok('revoke', '2')
    const from = Date.now()
    const ended = (what: string, to: number) => heldTo(t, what, { from, to }, stalls, ENDS_MS)
    ended('both ended the path of the revoked host', from + (await leavesUdp(pair)))
    await waitFor('host 3 has none', PATIENCE_MS, () => !metricsTo(three, 2).includes(100))
    ended('host 3 ended its own', Date.now())
    t.equal(ipv4Received(apple), quiet + 1)
    berry.ns.exec('sh', '-c', `busybox ping -c 2 -W 1 ${apple.ip} || true`)
    t.equal(ipv4Received(apple), quiet + 1, 'nothing of it arrives any more')
  })
})

/** The disk of one host in another machine, with that machine's own paths. */
function clone(from: TestHost, to: TestHost): void {
  for (const part of ['data', 'cni']) cpSync(join(from.dir, part), join(to.dir, part), { recursive: true })
  for (const file of ['flatnet.yaml', 'cni/10-flatnet.conflist']) {
    const text = readFileSync(join(from.dir, file), 'utf8')
    writeFileSync(join(to.dir, file), text.replaceAll(`${from.dir}/`, `${to.dir}/`))
  }
}

t.test('a host that is quarantined', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t, { spare: 1 })
  const { net, one, two } = pair
  await becomesDirect(pair)
  clone(two, net.host(3))
  await net.host(3).start()
  using stalls = new Stalls()
  await waitFor(
    'host 1 keeps host 2 out',
    PATIENCE_MS,
    async () => (await pathTo(one, 2)).state === 'QUARANTINED',
  )
  const from = Date.now()
  const to = from + (await leavesUdp(pair))
  heldTo(t, 'both ended the path of the quarantined host', { from, to }, stalls, ENDS_MS)
})
