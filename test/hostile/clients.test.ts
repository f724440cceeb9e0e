/** Clients of the ingress that take all places of its listener take none from others. */
import t from 'tap'
import { type Silence, silentStrangers } from '../helpers/hostile/silent-strangers.ts'
import { webSite } from '../helpers/hostile/web-site.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PLACES = 200
/** Of another client, when all places are taken. */
const SERVED_MS = 2_000

const ATTACKS: readonly [kind: Silence, port: number, what: string][] = [
  ['half', 8080, 'half-sent requests'],
  ['body', 8080, 'requests whose bodies do not come'],
  ['websocket', 8080, 'idle WebSockets'],
  ['tcp', 8443, 'connections without a handshake'],
  ['h2', 8443, 'idle sessions of HTTP/2'],
]

t.test('a listener whose places are all taken', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  const { host, get } = await webSite(t, { tls: 'internal', maxConnections: PLACES })
  await waitFor('HTTPS answers', 20_000, async () => (await get('https://127.0.0.1:8443/')).status === 200)
  const evicted = async (): Promise<number> =>
    Number(/connections_evicted_total (\d+)/.exec(await host.metrics())?.[1] ?? 0)
  for (const [kind, port, what] of ATTACKS) {
    const before = await evicted()
    const strangers = await silentStrangers(host, kind, `127.0.0.1:${port}`, PLACES + 20)
    const underWay = get('/held')
    for (const url of ['/', 'https://127.0.0.1:8443/']) {
      const { status, ms } = await get(url)
      t.equal(status, 200, `another client is served beside ${what}: ${url}`)
      t.ok(ms < SERVED_MS, `in ${ms} ms`)
    }
    await waitFor('it is released', 10_000, async () => (await get('/release')).body === '1')
    t.equal((await underWay).body, 'held', 'what is under way stays')
    t.ok((await evicted()) > before, 'all places were taken')
    strangers.end()
    await waitFor('the places are free', 10_000, async () => {
      const { ingress } = await host.api('/v1/status')
      return ingress.connections < PLACES / 2
    })
  }
})
