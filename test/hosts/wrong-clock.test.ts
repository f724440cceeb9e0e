/**
 * A host whose wall clock is an hour off, is set while it runs, or is of yesterday after a restore: nothing but times
 * that it shows itself may depend on it. The gateway with the wrong clock runs from source, as the executable takes no
 * `--import`.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { PathInfo } from '../../core/api.ts'
import type { Status } from '../../gateway/api/status.ts'
import { type BareContainer, bareContainer } from '../helpers/cluster/host-container.ts'
import { allLinked, joinedHosts } from '../helpers/cluster/hosts.ts'
import { equalTables, marked } from '../helpers/cluster/tables.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { heldTo } from '../helpers/nat/held-udp.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

const HOUR = 3_600_000

const withClock = (offsetMs: number) => ({
  imports: [join(import.meta.dirname, '../helpers/cluster/wrong-clock.ts')],
  env: { FT_CLOCK_OFFSET_MS: String(offsetMs) },
})

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const epochOf = async (hostId: number): Promise<number> =>
    (await one.hosts()).find((h) => h.hostId === hostId)?.version?.epoch ?? 0
  /** Something comes and goes on each host, and all agree. */
  const changes = async (what: string): Promise<void> => {
    for (const host of net.hosts) {
      const gone = await bareContainer(t, host, `${what}-gone`)
      await bareContainer(t, host, what)
      await gone.del()
    }
    const { containers } = await equalTables(net.hosts, 10_000)
    t.equal(containers.filter((line) => line.endsWith(` ${what}`)).length, 3, `all know of ${what}`)
    t.equal(containers.filter((line) => line.endsWith('gone')).length, 0)
  }
  const linksLost = (): number =>
    net.hosts.flatMap((h) => h.logged('peer link changed')).filter((line) => line.path === 'down').length

  await t.test('an hour ahead from its start', async (t) => {
    const epoch = await epochOf(2)
    await two.stop()
    await two.start(withClock(HOUR))
    await allLinked(net)
    await changes('ahead')
    t.ok((await epochOf(2)) > epoch)
    t.ok(Date.parse((await two.api('/v1/status')).startedAt) > Date.now() + HOUR / 2, 'its clock is wrong')
    const view = (await one.hosts()).find((h) => h.hostId === 2)
    t.ok(
      Date.parse(view?.since ?? '') < Date.now() + 1_000,
      'others tell the time of what they saw by their own',
    )
  })

  await t.test('set back by two hours while it runs', async (t) => {
    const lost = linksLost()
    two.signal('SIGUSR2')
    await changes('behind')
    t.equal(linksLost(), lost, 'no link is lost')
    t.match(await two.api('/v1/status'), { cluster: { linksUp: 2, certificate: { state: 'valid' } } })
    using stalls = new Stalls()
    const from = Date.now()
    await three.kill()
    await marked([two], 3, 'unreachable', 5_000)
    heldTo(t, 'it sees a lost peer', { from, to: Date.now() }, stalls, 3_500)
    await three.start()
    await marked([one, two], 3, 'live', 15_000)
    const wayIs = (via: string, timeoutMs: number): Promise<unknown> =>
      waitFor(`host 2 reaches host 3 by ${via}`, timeoutMs, async () => {
        const path: PathInfo = await two.api('/v1/paths/3')
        return path.state === 'GATEWAY_ONLY' && path.via === via
      })
    const cutAt = Date.now()
    net.cut(2, 3)
    await wayIs('relay:1', 10_000)
    heldTo(t, 'a cut one is reached through the third', { from: cutAt, to: Date.now() }, stalls, 4_000)
    net.healAll()
    await wayIs('gateway', 30_000)
    await marked([two], 3, 'live', 15_000)
    const { uptimeMs } = await two.api('/v1/status')
    t.ok(uptimeMs >= 0)
  })

  await t.test('right again at its next start', async (t) => {
    const epoch = await epochOf(2)
    await two.restart()
    await allLinked(net)
    await changes('right')
    t.ok((await epochOf(2)) > epoch, 'its epoch rises all the same')
  })

  await t.test('put back to an old state, with the clock of yesterday', async (t) => {
    const snapshot = join(three.dir, 'snapshot')
    const copy = (from: string, to: string): void => {
      rmSync(to, { recursive: true, force: true })
      cpSync(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
    }
    copy(three.dataDir, snapshot)
    for (let n = 0; n < 3; n++) await three.restart()
    await allLinked(net)
    const epoch = await epochOf(3)
    await three.stop()
    copy(snapshot, three.dataDir)
    await three.start(withClock(-24 * HOUR))
    await allLinked(net)
    await changes('restored')
    t.ok((await epochOf(3)) > epoch, 'it was shown the epoch of its former life, and is past it')
    t.equal(three.logged('own epoch was behind and raised').length > 0, true)
    await waitFor('host 1 says whose clock is wrong', 60_000, async () => {
      const { alarms } = await one.api<Status>('/v1/status')
      return alarms.some((a) => a.hostId === 3 && /24 hours behind that of host 1/.test(a.reason))
    })
  })

  await t.test('addresses given back by a clock that is an hour ahead', async (t) => {
    // Five addresses: 10.101.0.18 to .22.
    const ipam = { type: 'flatnet', hostId: 2, supernet: '10.101.0.0/24', hostPrefix: 29, firstOffset: 2 }
    const conf = { name: 'small', bridge: 'small0', ipam }
    const add = (name: string) => bareContainer(t, one, name, { conf })
    const all: BareContainer[] = []
    for (const name of ['a', 'b', 'c', 'd', 'e']) all.push(await add(name))
    const [a, b, c] = all
    await a?.del(withClock(HOUR))
    await b?.del()
    await c?.del(withClock(-HOUR))
    const given = [await add('f'), await add('g'), await add('h')].map(({ ip }) => ip)
    t.same(given, [c?.ip, b?.ip, a?.ip], 'all are given again, those that rest longest by their times first')
    await t.rejects(add('i'), /"code":100/, 'and none of them twice')
  })

  await t.test('no host was taken for a clone', async (t) => {
    for (const host of net.hosts) {
      const alarms = host.logged('host alarm raised').map(({ reason }) => reason)
      t.same(
        // `all know of` makes containers of one name on several hosts.
        alarms.filter((reason) => !/^(?:its clock is|it has a container called)/.test(reason)),
        [],
      )
      t.notOk((await host.hosts()).some((h) => h.quarantine !== null))
    }
  })
})
