/**
 * 1,000 changes in 10 s on one host: every one of them is told by all others, soon, in bounded memory, and all end with
 * one table.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { bareContainer } from '../helpers/cluster/host-container.ts'
import { allLinked, joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { equalTables } from '../helpers/cluster/tables.ts'
import { followEvents, type Seen } from '../helpers/gateway/event-stream.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const CHANGES = 1_000
const EVERY_MS = 10
/** Each address changes every two seconds: no change is overtaken by the next one before it was told. */
const SLOTS = 200

/** Of one address, the nth change of all: come, changed, gone, come … */
function change(host: TestHost, n: number): { key: string; made: () => Promise<unknown> } {
  const slot = n % SLOTS
  const round = Math.floor(n / SLOTS)
  const containerId = `burst-${slot}-${Math.floor(round / 3)}`
  const type = ['assignmentAdded', 'assignmentChanged', 'assignmentRemoved'][round % 3]
  const body = {
    network: 'flatnet',
    containerId,
    ifname: 'eth0',
    hostId: host.index,
    ips: [`10.100.${host.index}.${20 + slot}/24`],
    mac: '0a:64:0a:64:02:14',
    name: `burst-${slot}`,
    aliases: [],
    ports: [],
    httpPort: 80 + round,
    createdAt: '2026-11-25T12:00:00.000Z',
  }
  const path = '/v1/assignments'
  const made =
    type === 'assignmentRemoved'
      ? () => host.api(`${path}/flatnet/${containerId}/eth0`, undefined, 'DELETE')
      : () => host.api(path, body)
  return { key: `${type} ${containerId}`, made }
}

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const others = [one, three]
  // What is announced here has no leases: the comparison with them waits until the end.
  const yaml = join(two.dir, 'flatnet.yaml')
  writeFileSync(yaml, readFileSync(yaml, 'utf8').replace(/^reconcileMs: \d+$/m, 'reconcileMs: 600000'))
  await two.restart()
  await allLinked(net)
  const rss = (): Promise<number[]> =>
    Promise.all(net.hosts.map(async (h) => (await h.api('/v1/status')).memory.rssBytes))
  const before = await rss()
  const toldAt = new Map<string, number>()
  const lags: number[] = []
  const streams = await Promise.all(
    others.map((host) =>
      followEvents(t, host, ({ event, at }: Seen) => {
        if (!('assignment' in event)) return
        const from = toldAt.get(`${event.type} ${event.assignment.containerId}`)
        if (from !== undefined) lags.push(at - from)
      }),
    ),
  )
  const began = performance.now()
  const asked: Promise<unknown>[] = []
  for (let n = 0; n < CHANGES; n++) {
    const { key, made } = change(two, n)
    toldAt.set(key, performance.now())
    asked.push(made())
    await pause(Math.max(0, began + (n + 1) * EVERY_MS - performance.now()))
  }
  await Promise.all(asked)
  const tookMs = performance.now() - began
  await waitFor('all is told', 5_000, () => lags.length >= others.length * CHANGES)
  t.ok(tookMs < 13_000, `${CHANGES} changes in ${Math.round(tookMs)} ms`)
  for (const stream of streams) {
    const keys = stream.flatMap(({ event }) =>
      'assignment' in event ? [`${event.type} ${event.assignment.containerId}`] : [],
    )
    t.same(keys.sort(), [...toldAt.keys()].sort(), 'each once')
  }
  lags.sort((a, b) => a - b)
  const [median = 0, p99 = 0, last = 0] = [0.5, 0.99, 1].map((q) => lags[Math.ceil(q * lags.length) - 1])
  t.ok(p99 < 1_000, `seen after ${[median, p99, last].map(Math.round).join(', ')} ms: median, p99, all`)
  t.equal((await equalTables(net.hosts, 5_000)).containers.length, SLOTS)
  const grown = (await rss()).map((bytes, i) => Math.round((bytes - (before[i] ?? 0)) / 2 ** 20))
  t.ok(
    grown.every((mib) => mib < 64),
    `memory grew by ${grown.join(', ')} MiB`,
  )

  t.comment('a real container makes host 2 look at its leases: what has none goes, everywhere')
  const real = await bareContainer(t, two, 'real')
  await waitFor('it alone is left', 5_000, async () => (await one.assignments()).length === 1)
  t.same((await equalTables(net.hosts, 5_000)).containers, [`${real.ip}/24 real`])
})
