/** A host without /dev/net/tun: every page is there by every gateway, and what cannot be reached is said at once. */
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type HostContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import { allLinked, hosts, type TestHost, tokenOf } from '../helpers/cluster/hosts.ts'
import { startWithoutTun } from '../helpers/cluster/no-tun.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const ECHO = join(import.meta.dirname, '../helpers/gateway/echo-server.ts')
const PORT = '9000'

async function echoIn(container: HostContainer): Promise<void> {
  container.spawn(process.execPath, '--disable-warning=ExperimentalWarning', ECHO, PORT)
  await waitFor('it listens', 15_000, () => container.ns.exec('ss', '-Hltn').includes(`:${PORT} `))
}

const isKnown = (host: TestHost, name: string): Promise<unknown> =>
  waitFor(`host ${host.index} knows ${name}`, 10_000, async () => {
    return (await host.api(`/v1/assignments?name=${name}`)).length === 1
  })

/** A client on the host, by its own gateway. */
const curl = async (host: TestHost, path: string, ...args: string[]): Promise<string> =>
  (await host.exec(['curl', '-s', '-m', '10', ...args, `http://127.0.0.1:8080${path}`])).stdout

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

const SPEAK = `const ws = new WebSocket(process.argv[1])
ws.onopen = () => ws.send('hello')
ws.onmessage = ({ data }) => { console.log(data); ws.close() }
ws.onerror = () => { console.log('failed'); process.exit(1) }`

const LISTEN = `const ws = new WebSocket(process.argv[1])
ws.onclose = () => { console.log('closed'); process.exit() }`

async function byGateway(t: Test, from: TestHost, to: HostContainer): Promise<void> {
  const { name } = to
  t.equal(await curl(from, `/~${name}/`), `${name} on host ${to.host.index}\n`, 'GET')
  const echo = `/~${name}-${PORT}/`
  t.equal(await curl(from, echo, '-d', 'hello'), 'hello', 'POST')
  const [file, got] = [join(from.dir, 'body'), join(from.dir, 'got')]
  const body = randomBytes(1024 * 1024)
  writeFileSync(file, body)
  await curl(from, echo, '--data-binary', `@${file}`, '-o', got)
  t.equal((await from.exec(['sha256sum', got])).stdout.split(' ')[0], sha(body), '1 MiB there and back')
  t.match(await curl(from, echo, '-D', '-'), new RegExp(`x-seen: GET ${from.index}`, 'i'))
  const url = `ws://127.0.0.1:8080${echo}`
  t.equal((await from.exec([process.execPath, '-e', SPEAK, url])).stdout, 'hello\n', 'WebSocket')
  // Nothing answers there.
  to.ns.exec('nft', 'add table inet quiet')
  to.ns.exec('nft', 'add chain inet quiet in { type filter hook input priority 0; }')
  to.ns.exec('nft', 'add rule inet quiet in tcp dport 82 drop')
  t.match(
    await curl(from, `/~${name}-82/`, '-w', '%{http_code}'),
    /does not accept the connection[\s\S]*504$/,
  )
  const refused = await curl(from, `/~${name}-81/`, '-w', '%{http_code}')
  t.match(refused, /refuses the connection[\s\S]*path: GATEWAY_ONLY \(only web pages[\s\S]*502$/)
}

t.test('host 1 has no /dev/net/tun', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await hosts(t, 2)
  const [one, two] = [net.host(1), net.host(2)]
  await one.ok('init', '--cluster', 'testing', '--name', 'h1')
  // A way for packets to get lost on, were they ever sent.
  one.ns.exec('ip', 'route', 'add', 'default', 'via', '192.0.2.99')
  await startWithoutTun(t, one)
  await two.ok('join', await tokenOf(one), '--name', 'h2')
  await two.start()
  await allLinked(net)
  const apple = await hostContainer(t, one, 'apple')
  const berry = await hostContainer(t, two, 'berry')
  await Promise.all([echoIn(apple), echoIn(berry)])
  await isKnown(one, 'berry')
  await isKnown(two, 'apple')
  await t.test('both hosts say which of them lacks what', async (t) => {
    const wanted = { state: 'GATEWAY_ONLY', via: 'gateway', reason: /web pages.*host 1 .*TUN device/ }
    await waitFor('both know', 5_000, async () => {
      const paths = [await one.api('/v1/paths/2'), await two.api('/v1/paths/1')]
      return paths.every((p) => wanted.reason.test(p.reason))
    })
    t.match(await one.api('/v1/paths/2'), wanted)
    t.match(await two.api('/v1/paths/1'), wanted)
  })
  await t.test('packets for other hosts are answered, and do not go astray', async (t) => {
    const guard = /^unreachable 10\.100\.0\.0\/16/m
    await waitFor('the guard stands', 5_000, () => guard.test(one.ns.exec('ip', 'route')))
    t.throws(() => one.ns.exec('ip', 'route', 'get', berry.ip), /unreachable|No route/i)
    t.match(two.ns.exec('ip', 'route'), guard)
    const slice = /^10\.100\.1\.0\/24/m
    await waitFor('the route is gone', 10_000, () => !slice.test(two.ns.exec('ip', 'route')))
    t.throws(() => two.ns.exec('ip', 'route', 'get', apple.ip), /unreachable|No route/i)
  })
  await t.test('its own gateway serves containers of others', (t) => byGateway(t, one, berry))
  await t.test('other gateways serve its containers', (t) => byGateway(t, two, apple))
  await t.test('a container that ends is gone', async (t) => {
    await berry.del()
    const answer = (): Promise<string> => curl(one, '/~berry/', '-o', '/dev/null', '-w', '%{http_code}')
    t.match(await answer(), /404|503/)
    await waitFor('it is unknown', 5_000, async () => (await answer()) === '404')
  })
  await t.test('cut off, the answer comes at once and names host, path and reason', async (t) => {
    const cherry = await hostContainer(t, two, 'cherry')
    await echoIn(cherry)
    await isKnown(one, 'cherry')
    const url = `ws://127.0.0.1:8080/~cherry-${PORT}/`
    const idle = one.exec([process.execPath, '-e', LISTEN, url])
    const isOpen = (): boolean => cherry.ns.exec('ss', '-Htn', 'state', 'established').includes(`:${PORT} `)
    await waitFor('the WebSocket is open', 10_000, isOpen)
    net.cut(1, 2)
    const cutAt = performance.now()
    t.equal((await idle).stdout, 'closed\n', 'an idle connection ends as well')
    t.ok(performance.now() - cutAt < 12_000, `${Math.round(performance.now() - cutAt)} ms after the cut`)
    await waitFor('in the container too', 12_000, () => !isOpen())
    await waitFor('the path is given up', 15_000, async () => {
      const { state, since } = await one.api('/v1/paths/2')
      return state === 'ISOLATED' && Date.now() - Date.parse(since) > 3_000
    })
    const got = await curl(one, '/~cherry/', '-w', '\n%{http_code} %{time_total}')
    t.match(
      got,
      new RegExp(`out of reach[\\s\\S]*cherry at ${cherry.ip}:80, host 2[\\s\\S]*path: ISOLATED \\(`),
    )
    const [, code, time] = /\n(\d+) ([\d.]+)$/.exec(got) ?? []
    t.equal(code, '503')
    t.ok(Number(time) < 0.5, `${time} s`)
    net.heal(1, 2)
    await allLinked(net)
    await waitFor('it is back', 10_000, async () => (await curl(one, '/~cherry/')) === 'cherry on host 2\n')
  })
})
