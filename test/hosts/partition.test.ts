/**
 * Two sides that cannot see each other go on by themselves; when they meet again all have one table, and nothing
 * deleted is back.
 */
import t, { type Test } from 'tap'
import { type BareContainer, bareContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { equalTables, marked, markOf } from '../helpers/cluster/tables.ts'
import { followEvents, type Seen } from '../helpers/gateway/event-stream.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const line = ({ ip, name }: BareContainer): string => `${ip}/24 ${name}`

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const living = new Set<BareContainer>()
  const add = async (host: TestHost, ...names: string[]): Promise<BareContainer[]> => {
    const made: BareContainer[] = []
    for (const name of names) made.push(await bareContainer(t, host, name))
    for (const one of made) living.add(one)
    return made
  }
  const del = async (...gone: readonly (BareContainer | undefined)[]): Promise<void> => {
    for (const one of gone) {
      await one?.del()
      if (one !== undefined) living.delete(one)
    }
  }
  /** Waits for equal tables that show the living containers alone. */
  const agree = async (t: Test, timeoutMs: number): Promise<void> => {
    const from = performance.now()
    const { containers } = await waitFor('all is known everywhere', timeoutMs, async () => {
      const table = await equalTables(net.hosts, timeoutMs)
      return table.containers.length === living.size ? table : undefined
    })
    t.comment(`${Math.round(performance.now() - from)} ms`)
    t.same(containers, [...living].map(line).sort())
  }
  const [a1, a2] = await add(one, 'a1', 'a2')
  const [b1, b2] = await add(two, 'b1', 'b2')
  const [c1, c2, c3] = await add(three, 'c1', 'c2', 'c3')
  await agree(t, 5_000)
  const streams: (readonly Seen[])[] = []
  for (const host of net.hosts) streams.push(await followEvents(t, host))

  await t.test('a host alone on its side: adds and deletes on both', async (t) => {
    net.isolate(3)
    await marked([one, two], 3, 'unreachable', 5_000)
    t.equal(await markOf(three, 1), 'unreachable')
    await del(a1, b1, c1, c2)
    // Names of both sides, one of them the same; addresses that were given before.
    await add(one, 'a3', 'a4')
    await add(two, 'b3', 'both')
    await add(three, 'c4', 'both', 'c1')
    t.equal(
      (await three.assignments()).length,
      8,
      'each side shows its own news and what it last knew of the other',
    )
    net.healAll()
    await agree(t, 10_000)
    await marked(net.hosts, 3, 'live', 1_000)
  })

  await t.test(
    'gateways are killed and started again meanwhile, with tables of yesterday on disk',
    async (t) => {
      net.isolate(3)
      await marked([one, two], 3, 'unreachable', 5_000)
      await two.stop()
      await three.kill()
      await del(a2, c3)
      await three.start()
      await two.start()
      for (const host of [two, three]) streams.push(await followEvents(t, host))
      t.equal(await markOf(two, 3), 'unreachable', 'what host 2 kept of host 3 is shown, and marked')
      t.ok(
        (await two.assignments()).some((a) => a.containerId === c3?.containerId),
        'the deleted one too: it cannot know',
      )
      await add(three, 'c5')
      await del(b2)
      net.healAll()
      await agree(t, 10_000)
    },
  )

  await t.test('two that do not see each other know of each other by the third', async (t) => {
    net.cut(1, 3)
    await waitFor('the link is down', 5_000, async () => !(await one.linksUp()).includes(3))
    const [fresh] = await add(three, 'fresh')
    const [mine] = await add(one, 'mine')
    await agree(t, 20_000)
    await del(fresh, mine)
    await agree(t, 20_000)
    net.healAll()
    await waitFor('the link is back', 10_000, async () => (await one.linksUp()).includes(3))
    await agree(t, 10_000)
  })

  await t.test('nothing that was deleted came back, not even for a moment', async (t) => {
    t.ok(
      streams.every((stream) => stream.length > 0),
      'all of them told',
    )
    t.same(streams.flatMap(returned), [])
  })
})

/** Attachments that were added again after they had been removed. */
function returned(stream: readonly Seen[]): string[] {
  const removed = new Set<string>()
  return stream.flatMap(({ event }) => {
    if (event.type === 'assignmentRemoved') removed.add(event.assignment.containerId)
    const isBack = event.type === 'assignmentAdded' && removed.has(event.assignment.containerId)
    return isBack ? [event.assignment.containerId] : []
  })
}
