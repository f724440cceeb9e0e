/** Containers whose answers, or names, reach for what belongs to others. */
import { hostname } from 'node:os'
import t, { type Test } from 'tap'
import { bareContainer } from '../helpers/cluster/host-container.ts'
import { type WebSite, webSite } from '../helpers/hostile/web-site.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'

/** The Host is the gateway's own, so that the path names the container. */
const OWN = ['-H', 'Host: 192.0.2.1:8080']
const UPGRADE = ['-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket', '-m', '1']

async function originWide(t: Test, { get }: WebSite): Promise<void> {
  for (const [way, more] of [
    ['the fast path', []],
    ['the way of Node', ['-H', 'TE: trailers']],
    ['an upgrade', UPGRADE],
  ] as const) {
    const { head } = await get('/~web-3000/origin-wide', ...OWN, ...more)
    t.match(head, 'stolen=1; Path=/~web-3000/; Path=/~web-3000/\n', `${way}: the cookie stays below`)
    t.match(head, 'Service-Worker-Allowed: /~web-3000/\n', `${way}: and the service worker`)
    t.notMatch(head, /^(Clear-Site-Data|Alt-Svc|Strict-Transport-Security):/im, way)
    const named = await get('/origin-wide', '-H', 'Host: web-3000.x', ...more)
    for (const field of [
      'Path=/\n',
      'Clear-Site-Data: "*"',
      'Alt-Svc: h2=',
      'Strict-Transport-Security: max',
    ])
      t.match(named.head, field, `${way}: with a name of its own it sends what it likes`)
  }
}

async function reservedNames(t: Test, { host, get }: WebSite): Promise<void> {
  for (const name of ['localhost', hostname()])
    await t.rejects(
      bareContainer(t, host, 'thief', { conf: { runtimeConfig: { aliases: { flatnet: [name] } } } }),
      /must not hold localhost or the name of this host/,
      `${name} is refused as an alias`,
    )
  await bareContainer(t, host, 'honest', { conf: { runtimeConfig: { aliases: { flatnet: ['shop'] } } } })
  t.match((await get('/', '-H', 'Host: localhost:8080')).body, /honest/, 'the page is the gateway’s own')
  t.ok(
    (await host.assignments()).some(({ aliases }) => aliases.includes('shop')),
    'other aliases are given',
  )
}

t.test('hostile containers behind the ingress', { skip: needsRoot, timeout: 60_000 }, async (t) => {
  const site = await webSite(t)
  await t.test('fields that act on all of the origin', (t) => originWide(t, site))
  await t.test('names of the gateway and its host', (t) => reservedNames(t, site))
  await t.test('informational responses without end', async (t) => {
    const { status, body } = await site.get('/early/200000')
    t.equal(status, 502)
    t.match(body, /more than 32 informational/)
    t.match(await site.get('/early/32'), { body: /HTTP\/1\.1 200 OK[\s\S]*ok$/ }, '32 pass')
  })
})
