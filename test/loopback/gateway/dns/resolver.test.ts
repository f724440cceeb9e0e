/** Questions by real sockets on loopback: own names, other servers that behave well or badly, and strangers. */

import { createSocket } from 'node:dgram'
import { encode } from 'dns-packet'
import t, { type Test } from 'tap'
import type { Assignment } from '../../../../core/api.ts'
import { systemClock } from '../../../../core/clock.ts'
import { Metrics } from '../../../../gateway/base/metrics.ts'
import { systemScheduler } from '../../../../gateway/base/scheduler.ts'
import type { DnsServer } from '../../../../gateway/dns/host-servers.ts'
import type { DnsListenerDeps, Dropped } from '../../../../gateway/dns/listener.ts'
import { Resolver } from '../../../../gateway/dns/resolver.ts'
import { openTcp } from '../../../../gateway/dns/tcp-listener.ts'
import { openUdp } from '../../../../gateway/dns/udp-listener.ts'
import {
  type Dug,
  dig,
  type FakeServer,
  fakeUpstream,
  UPSTREAM_IP,
} from '../../../helpers/dns/dns-programs.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'
import { waitFor } from '../../../helpers/run/wait.ts'

const web = assignmentOf({ name: 'web', ips: ['10.100.1.10/24'] })

interface World {
  readonly upstream: FakeServer
  readonly dropped: Dropped[]
  readonly metrics: Metrics
  ask(name: string, more?: object): Promise<Dug>
}

/** @param servers how other names are asked for; default: the fake server */
async function world(
  t: Test,
  servers?: readonly DnsServer[],
  isClient = (): boolean => true,
): Promise<World> {
  const upstream = await fakeUpstream('127.0.0.1')
  const metrics = new Metrics()
  const resolver = new Resolver({
    zone: {
      domain: 'flatnet.internal',
      supernet: { base: 0x0a640000, prefixLen: 16 },
      lookup: {
        byName: (name): Assignment[] => (name === 'web' ? [web] : []),
        byIp: (ip) => (ip === '10.100.1.10' ? web : undefined),
      },
    },
    metrics,
    scheduler: systemScheduler(),
    log: { debug() {}, info() {}, warn() {}, error() {} },
  })
  const dropped: Dropped[] = []
  const known = servers ?? [{ host: '127.0.0.1', port: upstream.port }]
  const deps: DnsListenerDeps = {
    address: '127.0.0.1',
    port: 0,
    isClient,
    resolve: (asked, reply) => resolver.resolve({ ...asked, servers: async () => known }, reply),
    now: () => systemClock.monotonic(),
    dropped: (why) => dropped.push(why),
    failed: (err) => t.fail(String(err)),
  }
  const udp = await openUdp(deps)
  const tcp = await openTcp(deps)
  t.teardown(async () => {
    resolver.close()
    upstream.close()
    await Promise.all([udp.close(), tcp.close()])
  })
  return {
    upstream,
    dropped,
    metrics,
    ask: (name, more = {}) => {
      const port = 'tcp' in more ? tcp.port : udp.port
      return dig({ server: '127.0.0.1', port, name, ...more })
    },
  }
}

t.test('own names, by UDP and TCP', async (t) => {
  const { ask } = await world(t)
  for (const more of [{}, { tcp: true }]) {
    t.match(await ask('wEb', more), { rcode: 'NOERROR', data: ['10.100.1.10'], name: 'wEb', hasEdns: false })
    t.match(await ask('web', { ...more, type: 'AAAA' }), { rcode: 'NOERROR', data: [] })
    t.match(await ask('x.flatnet.internal', more), { rcode: 'NXDOMAIN' })
    t.match(await ask('10.1.100.10.in-addr.arpa', { ...more, type: 'PTR' }), {
      data: ['web.flatnet.internal'],
    })
    t.match(await ask('web', { ...more, edns: 1232 }), { hasEdns: true })
  }
})

t.test('other names are passed on, with their case and EDNS', async (t) => {
  const { ask, upstream } = await world(t)
  for (const more of [{}, { tcp: true }]) {
    t.match(await ask('eXaMple.COM', { ...more, edns: 1232 }), {
      rcode: 'NOERROR',
      data: [UPSTREAM_IP],
      name: 'eXaMple.COM',
      hasEdns: true,
    })
    t.equal(upstream.asked.at(-1), 'eXaMple.COM')
  }
})

t.test('each question has a port of its own', async (t) => {
  const { ask, upstream } = await world(t)
  for (let i = 0; i < 8; i++) await ask('example.com')
  t.ok(new Set(upstream.from).size > 4, String(upstream.from))
})

t.test('a long answer: cut by UDP, whole by TCP', async (t) => {
  const { ask } = await world(t)
  t.match(await ask('big.example', { type: 'TXT' }), { isCut: true, data: [] })
  const whole = await ask('big.example', { type: 'TXT', tcp: true })
  t.notOk(whole.isCut)
  t.ok(whole.bytes > 2_000)
})

t.test('a server that lies', async (t) => {
  const { ask, metrics } = await world(t)
  t.match(await ask('liar.example'), { data: [UPSTREAM_IP] }, 'about the id')
  t.match(await ask('flip.example'), { data: [UPSTREAM_IP] }, 'about the question')
  t.match(await ask('lie-only.example'), { rcode: 'SERVFAIL', data: [] }, 'and never says the truth')
  t.match(metrics.text(), /flatnet_dns_forged_total [1-9]/)
})

t.test('an answer from elsewhere with the right port, id and question is not believed', async (t) => {
  const { ask, upstream } = await world(t)
  const asked = ask('slow.example')
  await waitFor('the server was asked', 2_000, () => upstream.requests.length === 1)
  const forged = encode({
    type: 'response',
    id: upstream.requests[0]?.readUInt16BE(0) ?? 0,
    questions: [{ type: 'A', name: 'slow.example' }],
    answers: [{ type: 'A', name: 'slow.example', data: '203.0.113.66' }],
  })
  const attacker = createSocket('udp4')
  await new Promise((resolve) => attacker.send(forged, upstream.from[0], '127.0.0.1', resolve))
  attacker.close()
  t.match(await asked, { data: [UPSTREAM_IP] })
})

t.test('servers that are slow, dead, or fail', async (t) => {
  const upstream = await fakeUpstream('127.0.0.1')
  t.teardown(() => upstream.close())
  const here = { host: '127.0.0.1', port: upstream.port }
  // Nothing listens on port 9 of loopback: the kernel says so at once.
  const { ask } = await world(t, [{ host: '127.0.0.1', port: 9 }, here])
  t.match(await ask('example.com'), { data: [UPSTREAM_IP] }, 'the second one answers')
  t.match(await ask('slow.example'), { data: [UPSTREAM_IP] })
  t.match(await ask('fail.example'), { rcode: 'SERVFAIL' }, 'its failure is passed on')
  const dead = await ask('dead.example')
  t.equal(dead.rcode, 'SERVFAIL')
  t.ok(dead.ms < 5_000, `${dead.ms} ms: before the client gives up`)
})

t.test('no server at all', async (t) => {
  const { ask } = await world(t, [])
  t.match(await ask('example.com'), { rcode: 'REFUSED' })
  t.match(await ask('web'), { data: ['10.100.1.10'] }, 'own names are answered')
})

t.test('what is no question', async (t) => {
  const { ask } = await world(t)
  t.match(await ask('', { raw: '126700000001000000000000' }), { rcode: 'FORMERR' })
  t.match(await ask('', { raw: '126728000000000000000000' }), { rcode: 'NOTIMP' })
  t.match(
    await ask('', { raw: '126781800000000000000000', timeoutMs: 200 }),
    { rcode: 'silence' },
    'an answer',
  )
  t.match(await ask('', { raw: 'ffff'.repeat(4_000), tcp: true }), { rcode: 'closed' }, 'too long')
})

t.test('strangers get no answer', async (t) => {
  const { ask, dropped } = await world(t, undefined, () => false)
  t.match(await ask('web', { timeoutMs: 200 }), { rcode: 'silence' })
  t.match(await ask('web', { tcp: true }), { rcode: /closed|refused/ })
  t.same(dropped, ['stranger', 'stranger'])
})

t.test('a flood of one client is bounded', async (t) => {
  const { ask, upstream } = await world(t)
  const asked = Array.from({ length: 300 }, () => ask('dead.example', { timeoutMs: 1_500 }))
  const outcomes = await Promise.all(asked)
  t.ok(outcomes.filter(({ rcode }) => rcode === 'SERVFAIL').length >= 172, 'beyond 128 an error at once')
  t.ok(upstream.asked.length <= 2 * 128)
  t.match(await ask('web'), { data: ['10.100.1.10'] }, 'own names go on')
})
