/**
 * Answers from the address and port of the STUN server that two hosts behind NATs ask, to questions that they did not
 * ask: they are counted, the hosts offer their true addresses and become direct, and no request fails.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import type { TestHost, TestNet } from '../helpers/cluster/hosts.ts'
import { failures, PATIENCE_MS, pathTo, requestsTo } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { natCluster } from '../helpers/nat/nat-pairs.ts'
import { ROOT } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const SERVER = '192.0.2.1:3478'
const LIE = '192.0.2.99'

async function spoofedServer(t: Test, net: TestNet): Promise<void> {
  const program = [process.execPath, join(ROOT, 'test/helpers/hostile/spoofed-stun.ts')]
  const argv = ['netns', 'exec', net.host(1).ns.name, ...program, ...SERVER.split(':'), `${LIE}:7443`]
  const server = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => server.kill('SIGKILL'))
  await once(server.stdout, 'data')
  for (const { dir } of net.hosts.slice(1)) {
    const conf = join(dir, 'flatnet.yaml')
    writeFileSync(conf, readFileSync(conf, 'utf8').replace('  stun: []', `  stun: ["${SERVER}"]`))
  }
}

/** Counts what a host sends to where the lie leads. */
const countLies = ({ ns }: TestHost): void =>
  void ns.exec('nft', 'add', 'rule', 'inet', 'cut', 'out', 'ip', 'daddr', LIE, 'counter')

const sentToLie = ({ ns }: TestHost): number =>
  Number(/counter packets (\d+)/.exec(ns.exec('nft', 'list', 'chain', 'inet', 'cut', 'out'))?.[1])

async function unasked(host: TestHost): Promise<number> {
  const [, count] = /^flatnet_p2p_unasked_stun_answers (\d+)$/m.exec(await host.metrics()) ?? []
  return Number(count)
}

t.test('a STUN server whose address others use', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  const { hosts } = await natCluster(t, ['portRestricted', 'portRestricted'], async (net) => {
    for (const host of net.hosts) countLies(host)
    await spoofedServer(t, net)
  })
  const [one, two] = hosts.map(({ host }) => host) as [TestHost, TestHost]
  const isDirect = async (): Promise<boolean> =>
    (await Promise.all([pathTo(one, two.index), pathTo(two, one.index)])).every(
      ({ state }) => state === 'P2P_ACTIVE',
    )
  await waitFor('they are direct', PATIENCE_MS, isDirect)
  const [apple, berry] = [await hostContainer(t, one, 'apple'), await hostContainer(t, two, 'berry')]
  const requests = requestsTo({ apple, berry }, 50)
  await requests.answered(50)
  for (const host of [one, two]) {
    const before = await unasked(host)
    const [, most] = await waitFor('it has counted a thousand more', PATIENCE_MS, async () => {
      const now = await unasked(host)
      return now >= before + 1_000 ? [before, now] : undefined
    })
    t.comment(`host ${host.index}: ${most} answers that it had not asked for`)
  }
  for (const [host, to] of [
    [one, two],
    [two, one],
  ] as const) {
    t.match((await pathTo(host, to.index)).p2p?.address, new RegExp(`^192\\.0\\.2\\.${100 + to.index}:`))
    t.equal(sentToLie(host), 0, 'nothing went where the lie leads')
    const found = JSON.parse(await host.ok('netcheck', '--json'))
    t.match(
      found.ipv4,
      [new RegExp(`^192\\.0\\.2\\.${100 + host.index}:\\d+$`)],
      'netcheck is told the truth',
    )
    t.equal(found.ipv4.length, 1)
  }
  const answers = await requests.stop()
  t.same(failures(answers), [], `none of ${answers.length} requests failed`)
  t.ok(await isDirect(), 'and they are direct still')
})
