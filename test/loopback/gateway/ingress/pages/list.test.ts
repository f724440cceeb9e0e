/** The gateway's own pages: what they list, their forms, and that nothing becomes markup. */

import t from 'tap'
import { Events } from '../../../../../gateway/base/events.ts'
import { formOf } from '../../../../../gateway/ingress/pages/accept.ts'
import { listOf, renderList } from '../../../../../gateway/ingress/pages/list.ts'
import { Registry } from '../../../../../gateway/registry/registry.ts'
import { Slices } from '../../../../../gateway/registry/slices.ts'
import { startGateway } from '../../../../helpers/gateway/gateway-fixture.ts'
import { assignmentOf } from '../../../../helpers/gateway/gateway-samples.ts'

const MARKUP = `<script>alert("1")</script>'&`.replace('/', '')

t.test('the list: HTML for people, JSON for programs, links that work without DNS', async (t) => {
  const gw = await startGateway(t)
  await gw.register({ name: 'web', ips: ['127.1.0.10/16'], aliases: ['www'] })
  await gw.register({ name: 'old', ips: ['127.1.0.11/16'], createdAt: '2026-01-01T00:00:00.000Z' })
  await gw.register({ name: 'old', ips: ['127.1.0.12/16'], createdAt: '2026-02-01T00:00:00.000Z' })
  for (const host of ['192.0.2.7:8080', '[::1]:8080', 'localhost', 'gateway']) {
    const got = await gw.get(host)
    t.equal(got.status, 200, host)
    t.match(got.headers['content-type'], 'text/html; charset=utf-8')
    t.match(got.body, '<a href="/~web/">web</a>')
  }
  const list = await gw.get('localhost', '/', { headers: { accept: 'application/json' } })
  const entries: { name: string; path: string; shadowed: boolean }[] = list.json().containers
  t.same(
    entries.map((e) => [e.name, e.path, e.shadowed]),
    [
      ['old', '/~127-1-0-11/', true],
      ['old', '/~old/', false],
      ['web', '/~web/', false],
    ],
    'the newest has the name, the other is reached by address',
  )
  t.match((await gw.get('localhost', '/', { method: 'HEAD' })).body, '')
  t.equal((await gw.get('localhost', '/', { method: 'POST' })).status, 405)
  t.equal((await gw.get('localhost', '/favicon.ico')).status, 404)
})

t.test('what waits for a way to its host is listed, without the id that shows its answer', async (t) => {
  const waiting = [{ id: 'f'.repeat(32), method: 'POST', target: 'web/<b>', to: 4, at: 1_795_000_000_000 }]
  const list = { hostId: 1, entries: [], waiting }
  const line = 'waits for a way to host 4 since 2026-11-18T'
  t.match(renderList(list, 'html'), `<li>POST web/&lt;b&gt; ${line}`)
  t.match(renderList(list, 'text'), `  POST web/<b> ${line}`)
  t.match(JSON.parse(renderList(list, 'json')).waiting, [{ hostId: 4, method: 'POST', target: 'web/<b>' }])
  for (const form of ['html', 'text', 'json'] as const) t.notMatch(renderList(list, form), 'fff')
})

t.test('what runs on a host out of reach is listed and marked', async (t) => {
  const slices = new Slices({ base: 0x0a640000, prefixLen: 16 }, 24)
  const registry = new Registry(1, 7, new Events(), slices)
  registry.put(assignmentOf({ name: 'near', ips: ['10.100.1.10/24'] }))
  const far = assignmentOf({ hostId: 2, name: 'far', ips: ['10.100.2.10/24'], containerId: 'far' })
  registry.replace(2, { epoch: 1, seq: 1 }, [far])
  const list = () => ({ hostId: 1, entries: listOf(registry), waiting: [] })
  registry.setFreshness(2, 'live')
  t.match(renderList(list(), 'html'), '<p>2 running.</p>')
  t.notMatch(renderList(list(), 'html'), 'out of reach')
  for (const freshness of ['unreachable', 'gone'] as const) {
    registry.setFreshness(2, freshness)
    t.match(renderList(list(), 'html'), '<p>1 running, 1 out of reach.</p>')
    t.match(renderList(list(), 'html'), /far<.*<strong>host 2 is out of reach</)
    t.match(renderList(list(), 'text'), /10\.100\.2\.10:80 {2}\(host 2 is out of reach\)\n/)
    t.match(JSON.parse(renderList(list(), 'json')).containers, [
      { unreachable: true },
      { unreachable: false },
    ])
  }
})

t.test('an unknown name: 404 with near ones', async (t) => {
  const gw = await startGateway(t)
  await gw.register({ name: 'database' })
  const html = await gw.get('databse.flatnet', '/x', { headers: { accept: 'text/html' } })
  t.equal(html.status, 404)
  t.match(html.body, 'No container is called databse')
  t.match(html.body, 'Did you mean <a href="/~database/">database</a>?')
  t.match(
    (await gw.get('databse.flatnet')).body,
    /^No container is called databse\nDid you mean database\?\n/,
    'text for curl',
  )
  const json = await gw.get('databse.flatnet', '/', { headers: { accept: 'application/json' } })
  t.match(json.json(), { code: 'unknown-name', near: ['database'] })
  t.match((await gw.get('192.0.2.1', '/~databse/')).status, 404)
})

t.test('a page that gave its own domain this address learns no address', async (t) => {
  const gw = await startGateway(t, { ingress: { domains: ['*.corp.example'] } })
  const open = await startGateway(t)
  for (const each of [gw, open]) await each.register({ name: 'database', aliases: ['localhost'] })
  for (const accept of ['text/html', 'application/json', 'text/plain']) {
    const headers = { accept }
    for (const path of ['/', '/~nothing/', '/x']) {
      const { status, body } = await open.get('c1.attacker.example', path, { headers })
      t.equal(status, 404, `${accept} ${path}`)
      t.notMatch(body, /database|127\.1\.|containerId|"containers"/)
    }
    const refused = await gw.get('database.attacker.example', '/', { headers })
    t.equal(refused.status, 421)
    t.match(refused.body, /ingress\.domains does not have database\.attacker\.example/)
  }
  t.not((await gw.get('database.corp.example')).status, 421, 'a name that is served')
  t.equal((await gw.get('127.0.0.1')).status, 200, 'the address shows the list')
  for (const host of ['localhost', 'localhost.'])
    t.match(
      (await open.get(host)).body,
      'Flatnet, host',
      `${host} is the gateway, whatever a container is called`,
    )
})

t.test('escapes of a terminal stay in the request', async (t) => {
  const gw = await startGateway(t)
  await gw.register({ name: 'web' })
  const { body } = await gw.get('localhost', '/~%1B%5D0;title%07x%0Ay%C2%9B31m/', {
    headers: { accept: 'text/plain' },
  })
  t.match(body, /^No container is called \?\]0;title\?x\?y\?31m\n/)
  t.notMatch(body.replaceAll('\n', ''), /\p{C}/u)
  const list = await gw.get('localhost', '/', { headers: { accept: 'text/plain' } })
  t.notMatch(list.body.replaceAll('\n', ''), /\p{C}/u)
})

t.test('nothing becomes markup', async (t) => {
  const gw = await startGateway(t)
  await gw.register({ name: MARKUP, aliases: [`${MARKUP}2`], network: 'n' })
  const list = await gw.get('localhost')
  t.notMatch(list.body, '<script')
  t.match(list.body, '&lt;script&gt;alert(&quot;1&quot;)')
  t.match(list.body, '<a href="/~%3Cscript%3Ealert(%221%22)%3Cscript%3E&#39;%26/">')
  t.match(list.headers['content-security-policy'], /default-src 'none'; style-src 'sha256-/)
  t.match(list.headers, { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
  const accept = { headers: { accept: 'text/html' } }
  const byHost = await gw.get(`<img src=x>.flatnet`.replaceAll(' ', '+'), '/', accept)
  t.notMatch(byHost.body, '<img')
  const byPath = await gw.get('192.0.2.1', '/~%3Cimg%20src=x%20onerror=alert(1)%3E/', accept)
  t.equal(byPath.status, 404)
  t.notMatch(byPath.body, '<img')
  t.match(byPath.body, '&lt;img')
})

t.test('forms', (t) => {
  const cases: [string | undefined, string][] = [
    [undefined, 'text'],
    ['*/*', 'text'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'html'],
    ['application/json', 'json'],
    ['application/json, text/html;q=0.5', 'json'],
    ['text/html;q=0.2, application/json;q=0.3', 'json'],
    ['text/html;q=0', 'text'],
    ['text/html;q=x', 'text'],
    ['image/png', 'text'],
  ]
  for (const [accept, form] of cases) t.equal(formOf(accept, 'text'), form, String(accept))
  t.end()
})
