/** A reload of the gateway refuses no connection, however long an answer that is under way takes. */

import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { KeptListeners } from '../../../../gateway/ingress/kept-listeners.ts'
import { ask, startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { until } from '../../../helpers/gateway/gateway-upstream.ts'
import { freePort } from '../../../helpers/run/free-port.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'
import { testStore } from '../../../helpers/store/gateway-store.ts'

t.test('0 connections are refused while one answer is slow', async (t) => {
  const folder = scratchFolder(t)
  const port = await freePort()
  let finish = (): void => {}
  const web = createHttpServer((req, res) => {
    if (req.url === '/slow') finish = () => void res.end('slow')
    else res.end('ok')
  })
  web.listen(80, '127.1.0.10')
  await once(web, 'listening')
  t.teardown(() => void web.close())
  const store = testStore(folder)
  await store.write('flatnet', [await store.lease('127.1.0.10', { name: 'web' })])
  const keptListeners = new KeptListeners()
  const start = () =>
    startGateway(t, { ingress: { listen: `127.0.0.1:${port}`, drainMs: 3_000 } }, { keptListeners }, folder)
  const get = (path: string) => ask({ port, path }, { headers: { host: 'web.x' } })

  let gw = await start()
  for (let round = 0; round < 3; round++) {
    const slow = get('/slow')
    const asked = once(web, 'request')
    await asked
    const stopped = gw.stop()
    // While the answer is under way, and then while nothing runs.
    const during = Array.from({ length: 50 }, () => get('/'))
    finish()
    t.equal((await slow).body, 'slow')
    await stopped
    const between = Array.from({ length: 50 }, () => get('/'))
    gw = await start()
    const answers = await Promise.all([...during, ...between])
    t.same(new Set(answers.map((a) => `${a.status} ${a.body}`)), new Set(['200 ok']))
  }
  keptListeners.close()
  await gw.stop()
  await t.rejects(get('/'), { code: 'ECONNREFUSED' }, 'a gateway that stops for good says so')
})

t.test('a port that the new configuration does not have is closed', async (t) => {
  const folder = scratchFolder(t)
  const [before, after] = [await freePort(), await freePort()]
  const keptListeners = new KeptListeners()
  t.teardown(() => keptListeners.close())
  const start = (port: number) =>
    startGateway(t, { ingress: { listen: `127.0.0.1:${port}` } }, { keptListeners }, folder)
  const first = await start(before)
  await first.stop()
  await start(after)
  t.equal((await ask({ port: after, path: '/' })).status, 200)
  await t.rejects(ask({ port: before, path: '/' }), { code: 'ECONNREFUSED' })
})

t.test('a connection that came a moment before a reload has time for its first request', async (t) => {
  const folder = scratchFolder(t)
  const port = await freePort()
  const gw = await startGateway(t, { ingress: { listen: `127.0.0.1:${port}`, drainMs: 3_000 } }, {}, folder)
  const early = connect(port, '127.0.0.1')
  const silent = connect(port, '127.0.0.1')
  await Promise.all([once(early, 'connect'), once(silent, 'connect')])
  await until(async () => (await gw.api('/v1/status')).json().ingress.connections === 2, 'both are accepted')
  const since = performance.now()
  const stopped = gw.stop()
  const closed = once(silent, 'close')
  // Longer than three rounds of what closes idle connections.
  await pause(200)
  early.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const text = (await early.toArray()).join('')
  t.match(text, /^HTTP\/1\.1 200 OK\r\n/)
  t.match(text, /\r\nConnection: close\r\n/i)
  await Promise.all([stopped, closed])
  const tookMs = Math.round(performance.now() - since)
  t.ok(tookMs < 2_500, `one that sends nothing holds it up for ${tookMs} ms, less than drainMs`)
})
