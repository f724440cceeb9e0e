/**
 * `ingress.tls: internal`: a certificate of the cluster's CA, for this host and for each container that is asked for.
 */

import { statSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ClusterFiles } from '../../../../gateway/cluster/identity/files.ts'
import { createCluster } from '../../../../gateway/cluster/joining/create.ts'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

async function internalGateway(t: Test, isCluster: boolean, folder = scratchFolder(t)) {
  const files = new ClusterFiles(join(folder, 'data'))
  if (isCluster && !files.isComplete)
    await createCluster(files, {
      hostId: 1,
      name: 'one',
      endpoints: [],
      supernet: { base: 0x7f000000, prefixLen: 8 },
      hostPrefix: 16,
      now: Date.now(),
    })
  const more = {
    ingress: { tls: { listen: '127.0.0.1:0', internal: true, redirect: true } },
    peers: { listen: '127.0.0.1:0' },
    p2p: { enabled: false },
  }
  const gw = await startGateway(t, more, {}, folder)
  const tls = async () => (await gw.api('/v1/status')).json().ingress.tls
  return { gw, tls, files }
}

/** @returns the status; the error's code when the certificate is not trusted for the name */
function get(port: number, ca: string, host: string): Promise<number | string> {
  const name = /^[\d.]+$/.test(host) ? {} : { servername: host }
  return new Promise((resolve) => {
    const to = { host: '127.0.0.1', port, path: '/', ca, agent: false, ...name, headers: { host } }
    const req = request(to, (res) => {
      res.resume()
      resolve(res.statusCode ?? 0)
    })
    req.on('error', (err: NodeJS.ErrnoException) => resolve(err.code ?? err.message))
    req.end()
  })
}

t.test('a browser with the CA of flatnet ca trusts addresses, own names and containers', async (t) => {
  const { gw, tls } = await internalGateway(t, true)
  await until(async () => (await tls()).certificates.length === 1)
  const { port, problems, certificates } = await tls()
  t.same(problems, [])
  t.ok(certificates[0].names.includes('127.0.0.1'))
  const { caPem } = (await gw.api('/v1/cluster/browser-ca')).json()
  const web = await httpContainer(t, (_req, res) => res.end())
  await gw.register({ name: 'web', ...web.at })
  t.equal(await get(port, caPem, '127.0.0.1'), 200)
  t.equal(await get(port, caPem, 'localhost'), 200)
  t.equal(await get(port, caPem, 'web.lan'), 200)
  t.equal(await get(port, caPem, 'web'), 200)
  t.equal(await get(port, caPem, 'none.lan'), 'ERR_TLS_CERT_ALTNAME_INVALID', 'no such container')
  t.equal(await get(port, caPem, 'web.example.com'), 'ERR_TLS_CERT_ALTNAME_INVALID', 'a public name')
  t.match((await gw.get('web.lan')).headers.location, `https://web.lan:${port}/`)
})

t.test('a host alone says what to do, and does not send browsers to HTTPS', async (t) => {
  const { gw, tls } = await internalGateway(t, false)
  t.match((await tls()).problems, [
    /ingress\.tls\.internal is true and this host is in no cluster.*flatnet init/,
  ])
  t.equal((await gw.get('127.0.0.1')).status, 200)
  t.match(await gw.api('/v1/cluster/browser-ca'), { status: 409, body: /flatnet init makes one/ })
})

t.test('after a restart the certificate serves on while no host signs another one', async (t) => {
  const folder = scratchFolder(t)
  const first = await internalGateway(t, true, folder)
  await until(async () => (await first.tls()).certificates.length === 1)
  const { caPem } = (await first.gw.api('/v1/cluster/browser-ca')).json()
  await first.gw.stop()
  t.equal(statSync(first.files.path('browserKeyPem')).mode & 0o777, 0o600)
  first.files.remove('caKeyPem')
  const { tls } = await internalGateway(t, true, folder)
  const { port, certificates } = await tls()
  t.equal(certificates.length, 1, 'at once')
  t.equal(await get(port, caPem, '127.0.0.1'), 200)
  t.equal(await get(port, caPem, 'localhost'), 200)
  await until(async () => (await tls()).problems.length === 1)
  t.match((await tls()).problems, [/no certificate came from the cluster/])
  t.equal(await get(port, caPem, '127.0.0.1'), 200)
})
