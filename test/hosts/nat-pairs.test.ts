/** Hosts behind NATs of all kinds and a hub that all of them reach: which pairs get a direct path, and how soon. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { PathInfo, TierInfo } from '../../core/api.ts'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import type { TestNet } from '../helpers/cluster/hosts.ts'
import { failures, type P2pPair, requestsTo, worstGap } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { type NatHost, natCluster } from '../helpers/nat/nat-pairs.ts'
import { NAT_KINDS, type NatKind } from '../helpers/nat/nat-router.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** The strictest of those that can be direct: each side has to send before it can receive. */
const FEW: readonly NatKind[] = ['cgnat', 'portRestricted']
/** FLATNET_NAT_PAIRS=all: every pair of kinds, 16 processes, which takes minutes. */
const ALL: readonly NatKind[] = ['portRestricted', ...NAT_KINDS]
const KINDS = process.env['FLATNET_NAT_PAIRS'] === 'all' ? ALL : FEW

/** For two cores that other tests use as well. */
const WAIT_MS = 90_000

/** A symmetric NAT's port for a peer is known to that peer alone, when its datagram gets through to there. */
function canBeDirect(a: NatKind, b: NatKind): boolean {
  const kinds = [a, b]
  if (kinds.includes('udpBlocked')) return false
  return !kinds.includes('symmetric') || kinds.includes('cone') || kinds.includes('addressRestricted')
}

type Pair = readonly [NatHost, NatHost]

const pairsOf = (hosts: readonly NatHost[]): Pair[] =>
  hosts.flatMap((a, i) => hosts.slice(i + 1).map((b): Pair => [a, b]))

/** The first two hosts cannot send each other UDP until the rule is gone. */
const blockFirstPair = (net: TestNet): void => {
  const rule = ['inet', 'cut', 'out', 'meta', 'l4proto', 'udp', 'ip', 'daddr', '192.0.2.103', 'drop']
  net.host(2).ns.exec('nft', 'insert', 'rule', ...rule)
}

/** A STUN server at the hub's address that names an address where none of these hosts is, and who asks it. */
async function lyingServer(t: Test, net: TestNet): Promise<{ asked: Promise<unknown> }> {
  const { index, ns } = net.host(1)
  const program = [process.execPath, join(import.meta.dirname, '../helpers/nat/stun-server.ts')]
  const argv = ['192.0.2.1', '127.0.0.1', '3478', '3479', '192.0.2.250:7443']
  const server = spawn('ip', ['netns', 'exec', ns.name, ...program, ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => server.kill('SIGKILL'))
  await once(server.stdout, 'data')
  for (const { dir } of net.hosts.filter((host) => host.index !== index)) {
    const conf = join(dir, 'flatnet.yaml')
    writeFileSync(conf, readFileSync(conf, 'utf8').replace('  stun: []', '  stun: ["192.0.2.1:3478"]'))
  }
  return { asked: once(server.stdout, 'data') }
}

/** Asked of each host once in a while: questions about each pair would keep the gateways busy. */
const LOOK_MS = 300

type Paths = ReadonlyMap<number, readonly PathInfo[]>

async function pathsOf(hosts: readonly NatHost[]): Promise<Paths> {
  const lists = hosts.map(async ({ host }) => [host.index, await host.api('/v1/paths')] as const)
  return new Map(await Promise.all(lists))
}

/** How each of the two sees its path to the other. */
const ways = (paths: Paths, [a, b]: Pair): (PathInfo | undefined)[] =>
  [
    [a, b],
    [b, a],
  ].map(([from, to]) => paths.get(from?.host.index ?? 0)?.find(({ hostId }) => hostId === to?.host.index))

const isSettled = (paths: Paths, pair: Pair): boolean => {
  const [a, b] = pair
  const fits = (path: PathInfo | undefined): boolean =>
    canBeDirect(a.kind, b.kind) ? path?.state === 'P2P_ACTIVE' : path?.via === 'relay:1'
  return ways(paths, pair).every(fits)
}

t.test(
  'every pair is connected, directly where its NATs allow it',
  { skip: needsRoot, timeout: 600_000 },
  async (t) => {
    let liar: { readonly asked: Promise<unknown> } | undefined
    const { net, behind } = await natCluster(t, KINDS, async (net) => {
      blockFirstPair(net)
      liar = await lyingServer(t, net)
    })
    const began = performance.now()
    const [first, ...others] = pairsOf(behind)
    const open = new Set(others)
    let paths: Paths = new Map()
    while (open.size > 0 && performance.now() - began < WAIT_MS) {
      await pause(LOOK_MS)
      paths = await pathsOf(behind)
      for (const pair of open) {
        if (!isSettled(paths, pair)) continue
        open.delete(pair)
        const [a, b] = pair.map(({ kind }) => kind) as [NatKind, NatKind]
        const way = canBeDirect(a, b) ? 'direct' : 'through the hub'
        t.pass(
          `${a} and ${b}: ${way} ${Math.round(performance.now() - began)} ms after all had links to the hub`,
        )
      }
    }
    for (const pair of open) t.fail(pair.map(({ kind }) => kind).join(' and '), { paths: ways(paths, pair) })
    await t.resolves(async () => liar?.asked, 'a STUN server that lies was asked, and took no path away')
    await t.test('netcheck says how the hub sees a host behind a NAT', async (t) => {
      const host = behind.at(-1)?.host
      const found = JSON.parse((await host?.ok('netcheck', '--json')) ?? '{}')
      t.match(found, { udp: true, behindNat: true })
      t.match(found.ipv4, [new RegExp(`^192\\.0\\.2\\.${100 + (host?.index ?? 0)}:\\d+$`)])
      t.match(found.members[0], { hostId: 1, server: '192.0.2.1:7443', rttMs: Number })
    })
    await t.test('traffic goes on while a path becomes direct', async (t) => {
      if (first !== undefined) await servedMeanwhile(t, net, first)
    })
    await t.test('tiers names the hub as what made it possible', async (t) => {
      if (first === undefined) return
      const tiers: TierInfo[] = JSON.parse(await first[0].host.ok('tiers', '--json'))
      t.match(
        tiers.find(({ name }) => name === 'ice'),
        { tries: Number, successes: Number, medianMs: Number },
      )
      t.comment(tiers)
    })
  },
)

/** UDP between the two was blocked from the start; now it is freed, with requests under way. */
async function servedMeanwhile(t: Test, net: P2pPair['net'], pair: Pair): Promise<void> {
  const [one, two] = pair
  await waitFor('relayed', WAIT_MS, async () =>
    ways(await pathsOf(pair), pair).every((path) => path?.via === 'relay:1' && path.state !== 'CONNECTING'),
  )
  const apple = await hostContainer(t, one.host, 'apple')
  const berry = await hostContainer(t, two.host, 'berry')
  const requests = requestsTo({ net, one: one.host, two: two.host, apple, berry } as P2pPair, 50)
  await requests.answered(50)
  const began = performance.now()
  one.host.ns.exec('nft', 'flush', 'chain', 'inet', 'cut', 'out')
  await one.host.ok('retry', `${two.host.index}`)
  await waitFor('direct', WAIT_MS, async () =>
    ways(await pathsOf(pair), pair).every((path) => path?.state === 'P2P_ACTIVE'),
  )
  const ms = Math.round(performance.now() - began)
  await requests.answered(150)
  const answers = await requests.stop()
  t.comment(`direct ${ms} ms after the order to try again; worst gap ${worstGap(answers)} ms`)
  t.same(failures(answers), [], `none of ${answers.length} requests failed`)
}
