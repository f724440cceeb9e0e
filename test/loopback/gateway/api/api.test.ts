/** The API over its socket: every call, every refusal, and noise. */

import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import type { LeaseSource } from '../../../../gateway/leases/source.ts'
import type { Lease } from '../../../../ipam/lease.ts'
import { type Answer, jsonBody, startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { assignmentOf, noLeases } from '../../../helpers/gateway/gateway-samples.ts'
import { anyText } from '../../../helpers/run/any-text.ts'

const post = (value: unknown) => ({ method: 'POST', ...jsonBody(value) })
const leaseOf = (a: { containerId: string }, ip: string): Lease => ({
  ip,
  network: 'flatnet',
  containerId: a.containerId,
  ifname: 'eth0',
  mac: '',
  hostIfname: '',
  netns: '',
  netnsInode: '',
  bootId: '',
  createdAt: '2026-11-20T13:00:00.000Z',
  state: 'pending',
})

t.test('POST registers, repeats, changes; DELETE forgets, known or not', async (t) => {
  const gw = await startGateway(t)
  const web = assignmentOf({
    name: 'web',
    aliases: ['www'],
    ports: [{ protocol: 'tcp', hostIP: '', hostPort: 8080, containerPort: 80 }],
  })
  const first = await gw.api('/v1/assignments', post(web))
  t.equal(first.status, 201)
  t.same(first.json(), { ...web, paths: [] })
  t.equal(
    (await gw.api('/v1/assignments', post(Object.fromEntries(Object.entries(web).reverse())))).status,
    200,
    'equal, keys in another order',
  )
  const changed = await gw.api('/v1/assignments', post({ ...web, name: 'site' }))
  t.equal(changed.status, 200, 'another name for the same attachment')
  t.same((await gw.api('/v1/assignments?name=WEB')).json(), [])
  t.same((await gw.api('/v1/assignments?name=Site')).json(), [{ ...web, name: 'site', hostState: 'live' }])
  t.same((await gw.api('/v1/assignments?name=www&host=1')).json().length, 1)
  t.same((await gw.api('/v1/assignments?host=2')).json(), [])
  t.same((await gw.api('/v1/assignments')).json().length, 1)
  for (const path of [
    `flatnet/${web.containerId}/eth0`,
    `flatnet/${web.containerId}/eth0`,
    'no/such/one',
    '%66latnet/a%2Fb/eth0',
  ]) {
    const gone = await gw.api(`/v1/assignments/${path}`, { method: 'DELETE' })
    t.match(gone, { status: 204, body: '' }, path)
  }
  t.same((await gw.api('/v1/assignments')).json(), [])
})

t.test('400 lists every problem, with key and value', async (t) => {
  const gw = await startGateway(t)
  const bad = {
    network: 'a/b',
    containerId: 7,
    ifname: 'x'.repeat(16),
    hostId: 'one',
    ips: ['10.1', '127.1.0.1/16', '127.1.0.1/16'],
    mac: 'zz',
    name: '',
    aliases: ['a\u0000b'],
    ports: [{ protocol: 'icmp', hostPort: 0 }],
    httpPort: 0,
    createdAt: 'now',
    extra: 1,
  }
  const got = await gw.api('/v1/assignments', post(bad))
  t.equal(got.status, 400)
  const { code, problems } = got.json()
  t.equal(code, 'ERR_FLATNET_API_INVALID')
  for (const key of [
    'network',
    'containerId',
    'ifname',
    'hostId',
    'ips[0]',
    'ips[2]',
    'mac',
    'name',
    'aliases[0]',
    'ports[0].protocol',
    'ports[0].hostPort',
    'ports[0].containerPort',
    'httpPort',
    'createdAt',
    'extra',
  ]) {
    t.ok(
      problems.some((p: string) => p.startsWith(`${key} `)),
      key,
    )
  }
  for (const value of [null, [], 'x', 1, {}])
    t.equal((await gw.api('/v1/assignments', post(value))).status, 400)
})

t.test('refusals', async (t) => {
  const gw = await startGateway(t)
  const json = { 'content-type': 'application/json' }
  const cases: [name: string, answer: Promise<Answer>, status: number, code: string][] = [
    [
      'another host',
      gw.api('/v1/assignments', post(assignmentOf({ hostId: 2 }))),
      403,
      'ERR_FLATNET_API_NOT_OURS',
    ],
    [
      'outside the slice',
      gw.api('/v1/assignments', post(assignmentOf({ ips: ['127.2.0.1/16'] }))),
      403,
      'ERR_FLATNET_API_NOT_OURS',
    ],
    [
      "the bridge's address, which is the host itself",
      gw.api('/v1/assignments', post(assignmentOf({ ips: ['127.1.0.1/16'] }))),
      403,
      'ERR_FLATNET_API_NOT_OURS',
    ],
    [
      'the broadcast address',
      gw.api('/v1/assignments', post(assignmentOf({ ips: ['127.1.255.255/16'] }))),
      403,
      'ERR_FLATNET_API_NOT_OURS',
    ],
    [
      'not JSON',
      gw.api('/v1/assignments', { method: 'POST', headers: json, body: '{' }),
      400,
      'ERR_FLATNET_API_SYNTAX',
    ],
    [
      'not UTF-8',
      gw.api('/v1/assignments', { method: 'POST', headers: json, body: Buffer.of(0x22, 0xff, 0x22) }),
      400,
      'ERR_FLATNET_API_SYNTAX',
    ],
    [
      'too large',
      gw.api('/v1/assignments', { method: 'POST', headers: json, body: 'x'.repeat(70_000) }),
      413,
      'ERR_FLATNET_API_TOO_LARGE',
    ],
    [
      'another type',
      gw.api('/v1/assignments', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{}' }),
      415,
      'ERR_FLATNET_API_MEDIA_TYPE',
    ],
    [
      'another method',
      gw.api('/v1/assignments', { method: 'PUT', headers: json, body: '{}' }),
      405,
      'ERR_FLATNET_API_METHOD',
    ],
    ['no such path', gw.api('/v2/assignments'), 404, 'ERR_FLATNET_API_NOT_FOUND'],
    [
      'too few parts',
      gw.api('/v1/assignments/flatnet/x', { method: 'DELETE' }),
      404,
      'ERR_FLATNET_API_NOT_FOUND',
    ],
    [
      'broken percent',
      gw.api('/v1/assignments/flatnet/%ff/eth0', { method: 'DELETE' }),
      400,
      'ERR_FLATNET_API_SYNTAX',
    ],
    ['no such host', gw.api('/v1/paths/9'), 404, 'ERR_FLATNET_API_NOT_FOUND'],
    ['a host that is no number', gw.api('/v1/assignments?host=x'), 400, 'ERR_FLATNET_API_INVALID'],
  ]
  for (const [name, answer, status, code] of cases) {
    const got = await answer
    t.equal(got.status, status, name)
    t.match(got.json(), { code, message: String }, name)
  }
  const socket = connect(gw.socket)
  socket.write('POST /v1/assignments HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 411 /, 'no length')
  t.equal((await gw.api('/v1/assignments', { method: 'PUT' })).headers.allow, 'POST, GET, HEAD')
})

t.test('a chunked body over the bound is 413 too, and a huge one is not read to its end', async (t) => {
  const gw = await startGateway(t)
  const socket = connect(gw.socket)
  socket.write(
    `POST /v1/assignments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n${'x'.repeat(70_000)}\r\n0\r\n\r\n`,
  )
  t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 413 /)
  socket.destroy()
  const huge = connect(gw.socket)
  huge.on('error', () => {})
  huge.write('POST /v1/assignments HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n')
  huge.write('x'.repeat(2_000_000))
  t.match(String((await once(huge, 'data'))[0]), /^HTTP\/1\.1 413 [\s\S]*connection: close/i)
})

t.test('409: the leases on disk decide who holds an address', async (t) => {
  const ips = ['127.1.7.7/16']
  const old = assignmentOf({ ips, name: 'old' })
  const young = assignmentOf({ ips, name: 'young' })
  const cases = [
    { name: 'no lease: the registered one keeps it', leases: noLeases, status: 409 },
    {
      name: 'the lease of the registered one',
      leases: { ...noLeases, live: [leaseOf(old, '127.1.7.7')] },
      status: 409,
    },
    {
      name: 'the lease of a third',
      leases: { ...noLeases, live: [leaseOf({ containerId: 'x' }, '127.1.7.7')] },
      status: 409,
    },
    {
      name: 'the lease of the poster',
      leases: { ...noLeases, pending: [leaseOf(young, '127.1.7.7')] },
      status: 201,
    },
    {
      name: 'the registered one is gone',
      leases: { ...noLeases, stale: [leaseOf(old, '127.1.7.7')] },
      status: 201,
    },
  ]
  for (const tc of cases) {
    let reading = noLeases
    const leases: LeaseSource = { read: async () => reading }
    const gw = await startGateway(t, {}, { leases })
    await gw.api('/v1/assignments', post(old))
    reading = tc.leases
    const got = await gw.api('/v1/assignments', post(young))
    t.equal(got.status, tc.status, tc.name)
    if (tc.status === 409)
      t.match(got.json(), {
        code: 'ERR_FLATNET_API_ADDRESS_HELD',
        message: /127\.1\.7\.7.*held by flatnet\/c\d+\/eth0 \(old\)/,
      })
    const names = (await gw.api('/v1/assignments')).json().map((a: { name: string }) => a.name)
    t.same(names, [tc.status === 409 ? 'old' : 'young'])
    await gw.stop()
  }
})

t.test('hosts, paths, status, health, metrics', async (t) => {
  const gw = await startGateway(t, {}, { version: '1.2.3' })
  await gw.register({})
  const local = { hostId: 1, state: 'LOCAL', via: 'local', reason: 'own host', since: String }
  t.match((await gw.api('/v1/hosts')).json(), [
    { hostId: 1, version: { epoch: Number, seq: 1 }, assignments: 1, path: local },
  ])
  t.match((await gw.api('/v1/paths')).json(), [local])
  t.match((await gw.api('/v1/paths/1')).json(), local)
  t.match((await gw.api('/v1/status')).json(), {
    hostId: 1,
    version: '1.2.3',
    slice: '127.1.0.0/16',
    assignments: 1,
    ingress: { address: '127.0.0.1', port: gw.port },
    reconcile: { runs: 1, failures: 0 },
  })
  t.match(await gw.api('/healthz'), { status: 200, body: 'ok\n' })
  t.match(await gw.api('/healthz', { method: 'HEAD' }), { status: 200, body: '' })
  const metrics = await gw.api('/metrics')
  t.match(metrics.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  t.match(metrics.body, /^flatnet_assignments 1$/m)
  t.match(metrics.body, /^flatnet_api_requests_total\{method="POST",status="201"\} 1$/m)
  for (const line of metrics.body.trim().split('\n')) {
    t.match(
      line,
      /^(?:# (?:HELP|TYPE) [a-z_]+ .+|[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? [\d.e+-]+)$/,
    )
  }
})

t.test('whatever the body, the answer is 2xx or 4xx with JSON', async (t) => {
  const gw = await startGateway(t)
  const valid = assignmentOf()
  const noisy = fc.oneof(
    fc.jsonValue().map((v) => JSON.stringify(v)),
    anyText(),
    fc
      .record(
        Object.fromEntries(
          Object.entries(valid).map(([k, v]) => [
            k,
            fc.oneof({ weight: 6, arbitrary: fc.constant<unknown>(v) }, fc.jsonValue()),
          ]),
        ),
        { requiredKeys: [] },
      )
      .map((v) => JSON.stringify(v)),
  )
  await fc.assert(
    fc.asyncProperty(noisy, async (body) => {
      const got = await gw.api('/v1/assignments', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      })
      return [200, 201, 400, 403, 409, 411].includes(got.status) && typeof got.json() === 'object'
    }),
    { numRuns: 300 },
  )
  t.equal((await gw.api('/healthz')).status, 200)
  t.notOk(gw.logged.some((l) => l.event === 'api call failed'))
})
