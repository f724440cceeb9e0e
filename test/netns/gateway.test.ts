/**
 * Ingress to containers in namespaces of their own: the way that packets really take, and what is said when they
 * cannot.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { jsonBody } from '../helpers/gateway/gateway-fixture.ts'
import { type GatewayProcess, spawnGateway } from '../helpers/gateway/gateway-process.ts'
import { assignmentOf } from '../helpers/gateway/gateway-samples.ts'
import { until } from '../helpers/gateway/gateway-upstream.ts'
import { type Netns, needsRoot, netns } from '../helpers/kernel/netns.ts'
import { scratchFolder } from '../helpers/run/scratch.ts'

const SERVER = `require('http').createServer((q, s) => s.end(JSON.stringify(q.headers))).listen(80, '0.0.0.0', () => console.log('up'))`

/** `host` with bridge 10.100.1.1 and a container 10.100.1.10 behind it. */
async function wire(t: Parameters<typeof netns>[0]): Promise<{ host: Netns; container: Netns }> {
  const host = await netns(t)
  const container = await netns(t)
  host.exec('ip', 'link', 'set', 'lo', 'up')
  host.exec('ip', 'link', 'add', 'flatnet0', 'type', 'bridge')
  host.exec('ip', 'addr', 'add', '10.100.1.1/24', 'dev', 'flatnet0')
  host.exec('ip', 'link', 'add', 'fn0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', container.name)
  host.exec('ip', 'link', 'set', 'fn0', 'master', 'flatnet0', 'up')
  host.exec('ip', 'link', 'set', 'flatnet0', 'up')
  container.exec('ip', 'addr', 'add', '10.100.1.10/24', 'dev', 'eth0')
  container.exec('ip', 'link', 'set', 'eth0', 'up')
  container.exec('ip', 'route', 'add', 'default', 'via', '10.100.1.1')
  return { host, container }
}

async function serve(t: Parameters<typeof netns>[0], ns: Netns): Promise<void> {
  const [command = '', ...args] = ['ip', 'netns', 'exec', ns.name, process.execPath, '-e', SERVER]
  const child: ChildProcess = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout!, 'data')
}

const register = async (gw: GatewayProcess, name: string, ip: string): Promise<void> => {
  const body = jsonBody(assignmentOf({ name, ips: [`${ip}/24`] }))
  const { status } = await gw.api('/v1/assignments', { method: 'POST', ...body })
  if (status !== 201) throw new Error(`POST: ${status}`)
}

const CONF = {
  supernet: '10.100.0.0/16',
  hostPrefix: 24,
  ingress: { listen: '[::]:8080', connectTimeoutMs: 300 },
}

t.test('through a bridge', { skip: needsRoot }, async (t) => {
  const { host, container } = await wire(t)
  await serve(t, container)
  const gw = await spawnGateway(t, scratchFolder(t), { netns: host.name, conf: CONF })
  await register(gw, 'web', '10.100.1.10')
  await register(gw, 'nobody', '10.100.1.99')
  const curl = (...args: string[]): string => host.exec('curl', '-s', '--max-time', '10', ...args)

  const headers = JSON.parse(curl('-H', 'Host: web.flatnet', 'http://127.0.0.1:8080/'))
  t.match(headers, { host: 'web.flatnet', 'x-forwarded-for': '127.0.0.1', 'x-flatnet-via': '1' })
  t.equal(JSON.parse(curl('http://[::1]:8080/~web/'))['x-forwarded-for'], '::1')

  const dead = curl('-w', '\n%{http_code}', '-H', 'Host: nobody.flatnet', 'http://127.0.0.1:8080/')
  t.match(
    dead,
    /path: LOCAL \(own host\)\nreason: (?:timeout|unreachable)\n\n50[34]$/,
    'an address where nobody is',
  )

  container.exec('ip', 'link', 'set', 'eth0', 'down')
  const down = curl('-w', '\n%{http_code}', '-X', 'POST', '-H', 'Host: web.flatnet', 'http://127.0.0.1:8080/')
  t.match(down, /reason: (?:timeout|unreachable)\n\n50[34]$/, 'a link that is down')
  container.exec('ip', 'link', 'set', 'eth0', 'up')
  await until(
    () =>
      curl('-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: web.flatnet', 'http://127.0.0.1:8080/') ===
      '200',
  )
  t.pass('and back without any help')

  host.exec('ip', 'addr', 'del', '10.100.1.1/24', 'dev', 'flatnet0')
  // Not of `web`: there an idle connection would wait for the route to come back, as TCP does.
  const noRoute = curl('-w', '\n%{http_code}', '-H', 'Host: nobody.flatnet', 'http://127.0.0.1:8080/')
  t.match(noRoute, /reason: unreachable\n\n503$/, 'no route at all')
  t.equal(await gw.end('SIGTERM'), 0)
})

const GONE = `table ip gone {
  chain in { type filter hook prerouting priority 0; drop; }
  chain out { type filter hook output priority 0; drop; }
}`

t.test('a way that vanishes without a word', { skip: needsRoot }, async (t) => {
  const { host, container } = await wire(t)
  await serve(t, container)
  const gw = await spawnGateway(t, scratchFolder(t), { netns: host.name, conf: CONF })
  await register(gw, 'web', '10.100.1.10')
  const ask = async (...more: string[]): Promise<string> => {
    const curl = [
      'curl',
      '-s',
      '--max-time',
      '30',
      '-w',
      '\n%{http_code}',
      '-H',
      'Host: web.flatnet',
      ...more,
    ]
    const child = spawn('ip', ['netns', 'exec', host.name, ...curl, 'http://127.0.0.1:8080/'])
    let text = ''
    child.stdout.on('data', (c) => {
      text += c
    })
    await once(child, 'close')
    return text
  }
  const vanish = (): string => container.exec('nft', GONE)
  const comeBack = (): string => container.exec('nft', 'delete', 'table', 'ip', 'gone')

  t.match(await ask(), /\n200$/)
  // The connection is idle now, and the gateway does not know.
  vanish()
  const startedAt = performance.now()
  t.match(await ask(), /reason: timeout\n\n504$/, 'sent once more, and there is no way for that either')
  const seconds = (performance.now() - startedAt) / 1000
  t.ok(seconds > 8 && seconds < 20, `${seconds.toFixed(1)} s, where responseHeaderTimeoutMs is 60 s`)
  comeBack()

  t.match(await ask(), /\n200$/)
  vanish()
  setTimeout(comeBack, 3500)
  t.match(await ask(), /\n200$/, 'a way that comes back in time costs nothing but time')

  // Sooner than the container's server, which has kept this connection for requests, ends it (5 s).
  vanish()
  setTimeout(comeBack, 1000)
  t.match(await ask('-d', 'x'), /\n200$/, 'nor does it to a POST')
  vanish()
  const postedAt = performance.now()
  t.match(await ask('-d', 'x'), /\n50[24]$/, 'which is not sent once more')
  const waited = (performance.now() - postedAt) / 1000
  t.ok(waited > 5 && waited < 20, `${waited.toFixed(1)} s`)
  comeBack()
  t.equal(await gw.end('SIGTERM'), 0)
})
