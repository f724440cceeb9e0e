/** Each of the two processes may die alone, and what people do to devices, routes and ports is mended. */
import t from 'tap'
import {
  becomesDirect,
  directAgain,
  failures,
  metricsTo,
  PATIENCE_MS,
  p2pPair,
  p2pPid,
  pathTo,
  requestsTo,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { urgent } from '../helpers/run/urgent.ts'
import { timeUntil, waitFor } from '../helpers/run/wait.ts'

const GAP_MS = 1_200
const ROUTES_MS = 5_000
const STANDS_STILL_MS = 2_000

t.test('two hosts with a direct path', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, two } = pair
  await becomesDirect(pair)

  await t.test('kill -9 of the P2P process', async (t) => {
    const requests = requestsTo(pair, 100)
    await requests.answered(50)
    await keepsBound(t, 'metric 200 alone is left', 50, async () => {
      await directAgain(pair)
      const pid = p2pPid(one) ?? 0
      urgent(pid)
      const since = performance.now()
      process.kill(pid, 'SIGKILL')
      await timeUntil('it is', PATIENCE_MS, () => String(metricsTo(one, 2)) === '200')
      const ms = performance.now() - since
      await waitFor(
        'the gateway has started another',
        PATIENCE_MS,
        () => ![undefined, pid].includes(p2pPid(one)),
      )
      return ms
    })
    await becomesDirect(pair)
    const answers = await requests.stop()
    t.same(failures(answers), [], 'no request failed')
    t.comment(`worst gap ${worstGap(answers)} ms`)
  })

  await t.test('kill -9 of the gateway: TCP does not notice, the next one adopts', (t) =>
    keepsBound(t, 'worst gap', GAP_MS, async () => {
      await directAgain(pair)
      const requests = requestsTo(pair, 100)
      await requests.answered(50)
      const pid = p2pPid(one)
      await one.kill()
      t.same(metricsTo(one, 2), [100, 200], 'the direct route stands')
      await requests.answered(250)
      await one.start()
      await becomesDirect(pair)
      t.equal(p2pPid(one), pid, 'the same process went on')
      const answers = await requests.stop()
      t.same(failures(answers), [], 'no request failed')
      return worstGap(answers)
    }),
  )

  await t.test('kill -9 of both', async () => {
    const pid = p2pPid(one) ?? 0
    await one.kill()
    process.kill(pid, 'SIGKILL')
    await one.start()
    await waitFor('another process runs', PATIENCE_MS, () => ![undefined, pid].includes(p2pPid(one)))
    await directAgain(pair)
  })

  await t.test('the device is deleted by hand', async (t) => {
    one.ns.exec('ip', 'link', 'del', 'flatnet-p2p')
    t.equal(pair.apple.ns.exec('curl', '-sS', '-m', '5', `http://${pair.berry.ip}/`), 'berry on host 2\n')
    await directAgain(pair)
  })

  await t.test('its routes are flushed by hand', (t) =>
    keepsBound(t, 'they are back', ROUTES_MS, async () => {
      await directAgain(pair)
      one.ns.exec('ip', 'route', 'flush', 'dev', 'flatnet-p2p')
      return timeUntil('the route is back', PATIENCE_MS, () => metricsTo(one, 2).includes(100))
    }),
  )

  await t.test('the gateway tunnel is blocked while UDP works: stays, and says so', async (t) => {
    for (const { ns } of [one, two]) {
      ns.exec('nft', 'add table inet notls')
      ns.exec('nft', 'add chain inet notls out { type filter hook output priority -290; }')
      for (const end of ['dport', 'sport']) ns.exec('nft', `add rule inet notls out tcp ${end} 7443 drop`)
    }
    await waitFor('both say that the gateway path is down', PATIENCE_MS, async () =>
      (await Promise.all([pathTo(one, 2), pathTo(two, 1)])).every(
        ({ state, reason }) => state === 'P2P_ACTIVE' && /gateway path is down/.test(reason),
      ),
    )
    t.equal(pair.apple.ns.exec('curl', '-sS', '-m', '5', `http://${pair.berry.ip}/`), 'berry on host 2\n')
    for (const host of [one, two]) host.ns.exec('nft', 'delete', 'table', 'inet', 'notls')
  })

  await t.test('the event loop of the gateway stands still for 2 s: no demotion', async (t) => {
    await directAgain(pair)
    const { since } = await pathTo(one, 2)
    one.signal('SIGSTOP')
    const until = performance.now() + STANDS_STILL_MS
    await waitFor('2 s have passed, with the route in place', PATIENCE_MS, () => {
      t.same(metricsTo(one, 2), [100, 200])
      return performance.now() > until
    })
    one.signal('SIGCONT')
    await becomesDirect(pair)
    t.equal((await pathTo(one, 2)).since, since, 'since before')
  })

  await t.test('SIGHUP under load', async (t) => {
    const requests = requestsTo(pair, 100)
    await requests.answered(50)
    one.signal('SIGHUP')
    await requests.answered(300)
    // By order: all that ended it before counts together, and one failure more by a busy machine damps it for minutes.
    await directAgain(pair)
    t.same(failures(await requests.stop()), [], 'no request failed')
  })
})
