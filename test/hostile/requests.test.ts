/** Requests of clients that lie about who they are or what they ask for, and requests beside a reload. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { type WebSite, webSite } from '../helpers/hostile/web-site.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const headers = (fields: Record<string, string>): string[] =>
  Object.entries(fields).flatMap(([name, value]) => ['-H', `${name}: ${value}`])

/** What nobody else may say of a client, and twins of the fields that frame a body. */
const FORGED = {
  'X-Real-IP': '192.0.2.99',
  'X-Forwarded-For': '192.0.2.99',
  Forwarded: 'for=192.0.2.99',
  X_Real_IP: '192.0.2.99',
  Content_Length: '5',
  Transfer_Encoding: 'chunked',
}

async function forgedFields(t: Test, { get }: WebSite): Promise<void> {
  for (const more of [{}, { TE: 'trailers' }]) {
    const fields = headers({ Host: 'web-3000.x', ...FORGED, 'Remote-User': 'anne', X_Other: 'kept', ...more })
    const { status, body } = await get('/', ...fields)
    t.equal(status, 200)
    t.notMatch(body, /192\.0\.2\.99|content_length|transfer_encoding/)
    const seen = JSON.parse(body)
    t.match(seen, { 'x-forwarded-for': '127.0.0.1', 'remote-user': 'anne', x_other: 'kept' })
  }
}

async function escapes(t: Test, { get }: WebSite): Promise<void> {
  const text = ['-H', 'Accept: text/plain']
  for (const [host, path] of [
    ['192.0.2.1', '/~%1B%5D0;title%07x%0Ay%C2%9B31m/'],
    ['a\u001B]0;title\u0007b', '/'],
    ['192.0.2.1', '/~nothing%1B%5B2J/'],
  ] as const) {
    const { status, body } = await get(path, '-H', `Host: ${host}`, ...text)
    t.ok(status === 404 || status === 400, `${status} for ${JSON.stringify(host + path)}`)
    t.notMatch(body.replaceAll('\n', ''), /\p{C}/u, 'printable only')
  }
  t.match((await get('/', '-H', 'Host: 192.0.2.1', ...text)).body, /^Flatnet, host 1[\s\S]*web/)
}

/** A page of `attacker.example`, which has given its domain the address of this host. */
async function rebinding(t: Test, { get, web }: WebSite): Promise<void> {
  const json = ['-H', 'Accept: application/json']
  for (const path of ['/', '/~nothing/', '/x']) {
    const { status, body } = await get(path, '-H', 'Host: c1.attacker.example', ...json)
    t.equal(status, 404)
    t.notMatch(body, new RegExp(`"web"|${RegExp.escape(web.ip)}|${web.containerId}|containers`), path)
  }
  const own = await get('/', '-H', 'Host: 192.0.2.1:8080', ...json)
  t.match(JSON.parse(own.body).containers, [{ name: 'web' }], 'the gateway’s own address has the list')
}

/** Sends requests, each on a connection of its own, until `stop`, which returns what each was answered. */
function requests({ host }: WebSite) {
  const options = ['-s', '-o', '/dev/null', '-w', '%{http_code}\\n', '-m', '20', '-H', 'Connection: close']
  const child = host.spawn('curl', ...options, '-H', 'Host: web-3000.x', 'http://127.0.0.1:8080/?[1-100000]')
  const statuses: string[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => statuses.push(line))
  return { statuses, stop: () => void child.kill('SIGKILL') }
}

/** At the container itself: the ingress takes no requests meanwhile. */
const atWeb = async ({ host, web }: WebSite, path: string): Promise<string> =>
  (await host.exec(['curl', '-s', '-m', '5', `http://${web.ip}:3000${path}`])).stdout

async function reload(t: Test, site: WebSite): Promise<void> {
  const { host, get } = site
  const file = join(host.dir, 'flatnet.yaml')
  const change = (ingress: unknown): void => {
    const conf = parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...conf, ingress: { ...conf.ingress, ...(ingress as object) } }))
    host.signal('SIGHUP')
  }
  const stream = requests(site)
  const more = (count: number) => {
    const from = stream.statuses.length
    return waitFor(
      `${count} more requests are answered`,
      20_000,
      () => stream.statuses.length >= from + count,
    )
  }
  await more(50)
  change({ domains: 'no list' })
  await waitFor(
    'it is refused',
    10_000,
    () => host.logged('configuration is wrong, the old one stays').length > 0,
  )
  const underWay = get('/held')
  await waitFor('an answer is under way', 10_000, async () => (await atWeb(site, '/holding')) === '1')
  const starts = host.logged('gateway started').length
  change({ domains: ['*.x'] })
  await waitFor('it takes no more requests', 10_000, () => host.logged('gateway stopping').length > 0)
  await atWeb(site, '/release')
  t.equal((await underWay).body, 'held', 'what was under way is answered')
  await waitFor('it has started again', 20_000, () => host.logged('gateway started').length > starts)
  await more(50)
  stream.stop()
  const odd = stream.statuses.filter((status) => status !== '200')
  t.same(odd, [], `none of ${stream.statuses.length} connections was refused`)
  t.equal(
    (await get('/', '-H', 'Host: web-3000.attacker.example')).status,
    421,
    'the new configuration holds',
  )
  t.equal((await get('/')).status, 200)
}

t.test('hostile requests', { skip: needsRoot, timeout: 90_000 }, async (t) => {
  const site = await webSite(t)
  await t.test('forged fields', (t) => forgedFields(t, site))
  await t.test('escapes of a terminal', (t) => escapes(t, site))
  await t.test('DNS rebinding', (t) => rebinding(t, site))
  await t.test('a reload refuses no connection', (t) => reload(t, site))
})
