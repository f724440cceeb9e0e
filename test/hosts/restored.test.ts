/**
 * A host whose data folder is put back to an older state: what was deleted stays deleted, what is new is right, and it
 * is no clone.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bareContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { equalTables } from '../helpers/cluster/tables.ts'
import { followEvents } from '../helpers/gateway/event-stream.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'

const epochOf = async (at: TestHost, hostId: number): Promise<number> =>
  (await at.hosts()).find((h) => h.hostId === hostId)?.version?.epoch ?? 0

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const snapshot = join(three.dir, 'snapshot')
  const copy = (from: string, to: string): void => {
    rmSync(to, { recursive: true, force: true })
    cpSync(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
  }
  const other = await bareContainer(t, one, 'other')
  const kept = await bareContainer(t, three, 'kept')
  const old = await bareContainer(t, three, 'old')
  const moved = await bareContainer(t, three, 'moved')
  await equalTables(net.hosts, 5_000)
  const streams = [await followEvents(t, one), await followEvents(t, two)]
  copy(three.dataDir, snapshot)
  const epochs = [await epochOf(one, 3)]

  t.comment('changes that the snapshot knows nothing of, in this run and in a later one')
  await old.del()
  await moved.del()
  const between = await bareContainer(t, three, 'between')
  await three.restart()
  await equalTables(net.hosts, 10_000)
  epochs.push(await epochOf(one, 3))

  t.comment('back to the snapshot, as a machine goes: what was started since does not run')
  await three.stop()
  between.ns.remove()
  copy(snapshot, three.dataDir)
  await three.start()
  const again = await bareContainer(t, three, 'moved')
  const fresh = await bareContainer(t, three, 'fresh')
  const living = [other, kept, again, fresh].map(({ ip, name }) => `${ip}/24 ${name}`).sort()
  const { containers } = await equalTables(net.hosts, 10_000)
  t.same(containers, living)
  epochs.push(await epochOf(one, 3))
  t.ok(
    epochs.every((epoch, i) => i === 0 || epoch > (epochs[i - 1] ?? 0)),
    epochs.join(' < '),
  )
  for (const stream of streams) {
    const came = stream.flatMap(({ event }) =>
      event.type === 'assignmentAdded' ? [event.assignment.name] : [],
    )
    t.same(came.sort(), ['between', 'fresh', 'moved'])
    t.same(
      stream.filter(({ event }) => event.type === 'alarm'),
      [],
      'no alarm',
    )
  }
  for (const host of net.hosts) t.notOk((await host.hosts()).some((h) => h.quarantine !== null))
})
