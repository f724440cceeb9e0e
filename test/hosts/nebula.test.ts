/** Nebula as a way between hosts: packets take it, leave it when it fails, and nothing of it is left after the end. */
import t from 'tap'
import {
  METRICS_WITHOUT,
  NEBULA_DEVICE,
  nebulaPair,
  nebulaPid,
  nebulaTraces,
  nebulaVersion,
  runNebula,
  sentBy,
  setNebula,
  takeNebula,
  usable,
} from '../helpers/cluster/nebula-pair.ts'
import {
  failures,
  metricsTo,
  PATIENCE_MS,
  pathTo,
  requestsTo,
  retryAt,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { timeUntil, waitFor } from '../helpers/run/wait.ts'

const noNebula = nebulaVersion === undefined && 'nebula is not installed'

const name = `two hosts with Nebula ${nebulaVersion?.text}`

t.test(name, { skip: needsRoot || noNebula, timeout: 600_000 }, async (t) => {
  const pair = await nebulaPair(t)
  const { one, two, apple, berry } = pair
  await takeNebula(pair)
  t.comment(JSON.stringify(await pathTo(one, 2)))

  await t.test('people and programs are told the way', async (t) => {
    const { nebula, paths } = await one.api('/v1/status')
    const running = {
      device: NEBULA_DEVICE,
      version: nebulaVersion?.text,
      pid: nebulaPid(one),
      problem: null,
    }
    t.match(nebula, running)
    const way = { state: 'P2P_ACTIVE', via: 'nebula', tier: 'nebula', reason: 'Nebula is proven both ways' }
    for (const path of [paths[1], ...(await one.api('/v1/paths')).slice(1)]) {
      t.match(path, { hostId: 2, ...way, nebula: { generation: Number, mtu: 1_300 } })
      t.match(path.nebula.address, /^10\.101\.0\.2:\d+$/)
    }
    t.match(
      JSON.parse(await one.ok('tiers', '--json')).find(({ name }: { name: string }) => name === 'nebula'),
      { enabled: true, hosts: 1 },
    )
    t.match(await one.ok('tiers'), /^nebula +yes +1 /m)
    t.match(
      await one.ok('status'),
      new RegExp(
        `^nebula +${NEBULA_DEVICE}, ${nebulaVersion?.text}, pid ${nebulaPid(one)}, carries to 1 host$`,
        'm',
      ),
    )
  })

  await t.test('packets of containers go by its device, and keep their addresses', async (t) => {
    const before = { nebula: sentBy(one, NEBULA_DEVICE), gateway: sentBy(one, 'flatnet-gw') }
    const requests = requestsTo(pair, 100)
    await requests.answered(100)
    t.same(failures(await requests.stop()), [])
    const more = sentBy(one, NEBULA_DEVICE) - before.nebula
    t.ok(more >= 200, `${more} packets by Nebula`)
    const others = sentBy(one, 'flatnet-gw') - before.gateway
    t.ok(others < 20, `${others} packets by the gateway's device`)
    t.equal(berry.ns.exec('ping', '-c', '1', '-W', '2', apple.ip).includes('1 received'), true)
  })

  await t.test('Nebula is killed: requests go on by the gateway path, and return', async (t) => {
    const requests = requestsTo(pair, 100)
    await requests.answered(50)
    const pid = nebulaPid(one) ?? 0
    process.kill(pid, 'SIGKILL')
    await waitFor('its route is gone', PATIENCE_MS, () => !metricsTo(one, 2).includes(150))
    await waitFor('another one runs', PATIENCE_MS, () => ![undefined, pid].includes(nebulaPid(one)))
    await usable(one)
    await retryAt(pair)
    await takeNebula(pair)
    const answers = await requests.stop()
    t.same(failures(answers), [], 'no request failed')
    t.comment(`${answers.length} requests, worst gap ${worstGap(answers)} ms`)
  })

  await t.test('kill -9 of the gateway: the next one ends that Nebula, and uses its own', async (t) => {
    const pid = nebulaPid(one)
    await one.kill()
    t.equal(nebulaPid(one), pid, 'it goes on')
    await one.start()
    await waitFor('another one runs', PATIENCE_MS, () => ![undefined, pid].includes(nebulaPid(one)))
    await usable(one)
    await retryAt(pair)
    await takeNebula(pair)
  })

  await t.test('Nebula is cut off: the probes notice, and requests go on by the gateway path', async (t) => {
    const requests = requestsTo(pair, 100)
    await requests.answered(50)
    two.ns.exec('nft', 'add table inet nonebula')
    two.ns.exec('nft', 'add chain inet nonebula in { type filter hook input priority -290; }')
    two.ns.exec('nft', 'add rule inet nonebula in udp dport 4242 drop')
    const ms = await timeUntil('no route of metric 150 is left', PATIENCE_MS, () =>
      [metricsTo(one, 2), metricsTo(two, 1)].every((metrics) => !metrics.includes(150)),
    )
    t.comment(`left after ${Math.round(ms)} ms`)
    t.same(metricsTo(one, 2), METRICS_WITHOUT, "Nebula's own route stays behind the gateway path")
    await requests.answered(150)
    const answers = await requests.stop()
    t.same(failures(answers), [], 'no request failed')
    t.comment(`worst gap ${worstGap(answers)} ms`)
    two.ns.exec('nft', 'delete table inet nonebula')
  })

  await t.test('a host that is kept out gets nothing by way of Nebula either', async (t) => {
    await two.stop()
    await waitFor('its route is gone', PATIENCE_MS, () => !metricsTo(one, 2).includes(200))
    t.same(metricsTo(one, 2), METRICS_WITHOUT.slice(1))
    const said = apple.ns.exec('sh', '-c', `ping -c 1 -W 1 ${berry.ip} || true`)
    t.match(said, /Unreachable/, 'the kernel answers before Nebula is asked')
    await two.start()
  })

  await t.test('after a stop in order nothing of it is left', async (t) => {
    t.ok(nebulaTraces(one).length >= 4, nebulaTraces(one).join(', '))
    await Promise.all([one.stop(), two.stop()])
    t.same(nebulaTraces(one), [])
    t.same(nebulaTraces(two), [])
  })

  await t.test('a Nebula of their own: it is used, and neither started nor ended', async (t) => {
    for (const host of [one, two]) {
      runNebula(host, 'nebula1')
      setNebula(host, { enabled: true, device: 'nebula1' })
    }
    const pid = await waitFor('it runs', PATIENCE_MS, () => nebulaPid(one))
    await Promise.all([one.start(), two.start()])
    await takeNebula(pair)
    t.match(apple.ns.exec('curl', '-sS', '-m', '5', `http://${berry.ip}/`), /berry on host 2/)
    const [host] = (await two.hosts()).filter(({ hostId }) => hostId === 1)
    t.same(host?.member?.endpoints, ['192.0.2.1:7443'], 'no gateway is told to connect through it')
    await Promise.all([one.stop(), two.stop()])
    t.equal(nebulaPid(one), pid)
    t.same(
      metricsTo(one, 2),
      METRICS_WITHOUT.filter((metric) => metric !== 250),
      "Nebula's own route is left, behind the one that outlives gateways",
    )
  })
})
