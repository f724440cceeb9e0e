/** Requests on kept connections to a host that is out of reach are answered as soon as those on new ones. */
import t from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** Keeps its connections, unlike busybox. */
const SERVER = "require('http').createServer((q, r) => r.end('ok')).listen(3000)"

async function ask(host: TestHost, ...options: string[]): Promise<{ status: number; seconds: number }> {
  const format = ['-s', '-o', '/dev/null', '-w', '%{http_code} %{time_total}', '--max-time', '20']
  const url = 'http://127.0.0.1:8080/'
  const { stdout } = await host.exec(['curl', ...format, '-H', 'Host: web-3000.x', ...options, url])
  const [status = 0, seconds = 0] = stdout.trim().split(' ').map(Number)
  return { status, seconds }
}

t.test('two hosts, cut from each other', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 2)
  const [one, two] = [net.host(1), net.host(2)]
  const web = await hostContainer(t, two, 'web')
  web.spawn(process.execPath, '-e', SERVER)
  await waitFor('web answers', 10_000, async () => (await ask(one)).status === 200)
  for (const options of [[], ['-d', 'x']]) {
    for (let i = 0; i < 3; i++) t.equal((await ask(one, ...options)).status, 200)
    net.cut(1, 2)
    await waitFor('the path is ISOLATED', 10_000, async () => {
      const paths = await one.api<{ hostId: number; state: string }[]>('/v1/paths')
      return paths.find((p) => p.hostId === 2)?.state === 'ISOLATED'
    })
    await keepsBound(t, `answer to ${options.length === 0 ? 'GET' : 'POST'}`, 1_500, async () => {
      const { status, seconds } = await ask(one, ...options)
      t.equal(status, 503)
      return seconds * 1_000
    })
    net.healAll()
    await waitFor('web answers again', 20_000, async () => (await ask(one)).status === 200)
  }
})
