/** Containers and the gateway: it may be absent, hung or late, and a browser finds every container by it. */
import type { Test } from 'tap'
import { waitFor } from '../../run/wait.ts'
import { get, podmanHost } from '../host.ts'
import type { Target } from '../run.ts'

/** What the gateway missed is there within this (issue 2, item 4). */
const CATCH_UP_MS = 3_000
/** registrar.timeoutMs of the fixture, once for ADD; the rest is Podman and a busy machine. */
const START_MS = 300 + 5_000

/** The bridge's address, where names are answered. */
const OURS = '10.100.1.1'

export async function gatewayGone(t: Test, { runtime, executable }: Target): Promise<void> {
  const host = await podmanHost(t, executable, { runtime })
  const knows = async (...names: string[]) => {
    const known = (await host.assignments()).map(({ name }) => name)
    return names.every((name) => known.includes(name)) && known.length === names.length
  }
  const timed = async (work: () => Promise<unknown>) => {
    const began = performance.now()
    await work()
    return performance.now() - began
  }

  const isAlone = runtime.dialect === 'netavark'
  const resolvConf = async (name: string): Promise<string[]> =>
    (await host.within(name, 'cat', '/etc/resolv.conf')).stdout.trim().split('\n')
  const servers = async (name: string): Promise<string[]> =>
    (await resolvConf(name)).flatMap((line) => (line.startsWith('nameserver ') ? line.slice(11) : []))

  await t.test('absent: the container starts all the same', async (t) => {
    t.ok((await timed(() => host.web('early'))) < START_MS)
    t.equal((await get(host.m, `http://${await host.address('early')}/`)).status, 200)
  })
  const gateway = await host.startGateway({ ingress: { listen: '127.0.0.1:8080' } })
  t.test('what it missed is there within 3 s of its start', async () => {
    await waitFor('the gateway knows the early container', CATCH_UP_MS, () => knows('early'))
  })
  t.test('announced while it runs', async (t) => {
    await host.web('now')
    t.ok(await knows('early', 'now'), 'known when podman run returns')
  })
  t.test('found by name, and what resolv.conf says', async (t) => {
    const page = () => host.within('now', 'wget', '-q', '-O', '-', 'http://early/')
    await waitFor('now finds early', 10_000, async () => (await page()).stdout === 'flatnet test page\n')
    t.ok((await resolvConf('now')).includes('search flatnet.internal'))
    const [first, ...others] = await servers('now')
    t.equal(first, OURS)
    if (isAlone) t.same(others, [], 'Podman 5 adds none')
    await host.web('chosen', '--dns', '192.0.2.53')
    t.same(await servers('chosen'), [isAlone ? OURS : '192.0.2.53'], '--dns')
    await host.pod('rm', '-f', '-t', '0', 'chosen')
    t.notOk((await servers('early')).includes(OURS), 'before the first gateway there was none to name')
  })
  if (isAlone)
    t.test('podman network update --dns-add: where the gateway asks for other names', async (t) => {
      const record = async () =>
        (await host.m.json('cat', `${host.dataDir}/networks/flatnet.json`)).nameservers
      await host.pod('network', 'update', '--dns-add', '192.0.2.54', 'flatnet')
      await host.web('asking')
      t.same(await record(), ['192.0.2.54'])
      t.same(await servers('asking'), [OURS])
      await host.pod('network', 'update', '--dns-drop', '192.0.2.54', 'flatnet')
      await host.pod('rm', '-f', '-t', '0', 'asking')
    })
  t.test('hung: neither start nor stop waits longer than the timeout', async (t) => {
    await gateway.kill('SIGSTOP')
    t.ok((await timed(() => host.web('hung'))) < START_MS)
    t.equal((await get(host.m, `http://${await host.address('hung')}/`)).status, 200)
    t.ok((await timed(() => host.pod('rm', '-f', '-t', '0', 'now'))) < START_MS)
    await gateway.kill('SIGCONT')
    await waitFor('the gateway has caught up', CATCH_UP_MS, () => knows('early', 'hung'))
  })
  t.test('killed, with its socket left behind', async (t) => {
    await gateway.kill('SIGKILL')
    t.ok((await timed(() => host.web('dead'))) < START_MS)
    t.equal((await servers('dead')).includes(OURS), !isAlone, 'named where others stand behind it')
    t.ok((await timed(() => host.pod('rm', '-f', '-t', '0', 'early'))) < START_MS)
    await host.startGateway({ ingress: { listen: '127.0.0.1:8080' } })
    await waitFor('the next gateway knows what there is', CATCH_UP_MS, () => knows('hung', 'dead'))
  })
  t.test('nothing is left, here and there', async (t) => {
    t.strictSame(await host.removeAll(), [])
    t.strictSame(await host.assignments(), [])
  })
}

export async function browsers(t: Test, { runtime, executable }: Target): Promise<void> {
  const host = await podmanHost(t, executable, { runtime })
  const lan = await host.m.neighbour()
  await host.startGateway({ ingress: { listen: '0.0.0.0:8080' } })
  const base = `http://${lan.machineIp}:8080`
  await host.web('web', '--network-alias', 'shop')
  await host.web('app')
  await host.serveIn('app', 'serve', '3000')
  const dashed = (await host.address('web')).replaceAll('.', '-')

  const hosts: readonly (readonly [name: string, Host: string])[] = [
    ['by its name', 'web.flatnet'],
    ['by its name under any domain, with a port', 'web.example.org:8080'],
    ['by an alias', 'shop.flatnet'],
    ['by its address with dashes', `${dashed}.flatnet`],
  ]
  for (const [name, Host] of hosts) {
    t.test(name, async (t) => {
      const page = await get(lan, `${base}/`, { Host })
      t.match(page, { status: 200, body: 'flatnet test page\n' })
    })
  }
  t.test('by path, without DNS', async (t) => {
    t.match(await get(lan, `${base}/~web/`), { status: 200, body: 'flatnet test page\n' })
  })
  t.test('another port than 80', async (t) => {
    const page = await get(lan, `${base}/deep/path?q=1`, { Host: 'app-3000.flatnet' })
    t.equal(page.status, 200, page.body)
    t.match(JSON.parse(page.body), { url: '/deep/path?q=1' })
  })
  t.test('the page that lists what runs', async (t) => {
    const page = await get(lan, `${base}/`, { Host: lan.machineIp })
    t.equal(page.status, 200)
    t.match(page.body, /web/)
    t.match(page.body, /app/)
  })
  t.test('a name of nobody', async (t) => {
    t.equal((await get(lan, `${base}/`, { Host: 'nobody.flatnet' })).status, 404)
  })
  t.test('a container that does not listen', async (t) => {
    const page = await get(lan, `${base}/`, { Host: 'web-81.flatnet' })
    t.ok([502, 504].includes(page.status), `${page.status}`)
    t.match(page.body, /web/)
  })
  t.test('a container that is gone', async (t) => {
    await host.pod('rm', '-f', '-t', '0', 'web')
    t.equal((await get(lan, `${base}/`, { Host: 'web.flatnet' })).status, 404)
  })
  t.test("containers cannot reach the gateway's own API", async (t) => {
    const inside = await host.inNetns('app')
    const answer = await get(inside, 'http://10.100.1.1:8080/v1/assignments')
    t.not(answer.status, 200)
  })
}
