/**
 * Doctor's judge of the other hosts: one row for each reason that a link can have, and for what keeps hosts apart
 * besides.
 */
import { createServer } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { gatherPeers, judgePeers, type PeerFacts } from '../../../../cli/doctor/peers.ts'
import { findPlaces } from '../../../../cli/host/places.ts'
import { daemonTemplate } from '../../../../conf/templates.ts'
import type { PathState } from '../../../../core/api.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'
import { hostView } from '../../../helpers/gateway/host-view.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

const own = hostView(1, { link: null })
const unlinked = (hostId: number, reason: string, state: PathState = 'ISOLATED') =>
  hostView(hostId, {
    link: { hostId, state: 'down', reason, rttMs: undefined, hasData: false, since: 0 },
    path: { hostId, state, via: 'none', reason, since: '' },
  })
const well: PeerFacts = {
  hosts: [own, hostView(2), hostView(3)],
  tunnel: { device: 'flatnet-gw', offloads: 'tcp', problem: null },
  isClockSynchronized: true,
}
const with2 = (reason: string): Partial<PeerFacts> => ({ hosts: [own, unlinked(2, reason), hostView(3)] })

type Row = readonly [name: string, change: Partial<PeerFacts>, expected: Record<string, string>, fix?: RegExp]
const rows: readonly Row[] = [
  ['all is well', {}, {}],
  ['in no cluster', { hosts: [], tunnel: null }, {}],
  [
    'alone in its cluster, and a clock that no program sets',
    { hosts: [own], isClockSynchronized: false },
    {},
  ],
  [
    'nobody listens',
    with2('connect ECONNREFUSED 192.0.2.2:7443'),
    { 'cluster-links': 'fail' },
    /systemctl start/,
  ],
  [
    'a firewall',
    with2('192.0.2.2:7443 did not answer in time'),
    { 'cluster-links': 'fail' },
    /allow TCP 7443 there/,
  ],
  ['silence', with2('no sign of life for 3.1 s'), { 'cluster-links': 'fail' }, /allow TCP 7443 there/],
  ['no way', with2('connect EHOSTUNREACH 192.0.2.2:7443'), { 'cluster-links': 'fail' }, /ping it/],
  [
    'it has to connect',
    with2('no address of this host is known; it has to connect to us'),
    { 'cluster-links': 'fail' },
    /allow TCP 7443 here/,
  ],
  ['its clock', with2('certificate is not yet valid'), { 'cluster-links': 'fail' }, /set-ntp/],
  ['its certificate', with2('certificate has expired'), { 'cluster-links': 'fail' }, /doctor on that host/],
  [
    'another machine under its number',
    with2('192.0.2.2:7443 is not let in: another key holds host 2'),
    { 'cluster-links': 'fail' },
    /leave --force/,
  ],
  [
    'its address',
    with2('192.0.2.2:7443 is host 9, not host 2'),
    { 'cluster-links': 'fail' },
    /peers\.advertise/,
  ],
  ['something else', with2('protocol error: x'), { 'cluster-links': 'fail' }, /journalctl/],
  [
    'reached through a third host',
    { hosts: [own, unlinked(2, 'connect ETIMEDOUT', 'GATEWAY_ONLY')] },
    { 'cluster-links': 'warn' },
  ],
  ['one that left', { hosts: [own, hostView(2, { link: null })] }, {}],
  [
    'a clone',
    { hosts: [own, hostView(2, { quarantine: 'two machines use the identity of host 2' })] },
    { quarantine: 'fail' },
    /flatnet hosts release 2$/,
  ],
  [
    'a second key',
    { hosts: [own, hostView(2, { alarms: [{ hostId: 2, reason: 'r', next: 'leave', since: '' }] })] },
    { 'host-alarm': 'fail' },
    /^leave$/,
  ],
  [
    'no TUN device',
    { tunnel: { device: 'flatnet-gw', offloads: null, problem: 'there is no TUN device here' } },
    { tunnel: 'fail' },
    /modprobe tun/,
  ],
  ['a clock that nobody sets', { isClockSynchronized: false }, { clock: 'warn' }, /set-ntp/],
]
for (const [name, change, expected, fix] of rows) {
  t.test(name, async (t) => {
    const bad = judgePeers({ ...well, ...change }).filter((c) => c.state !== 'ok')
    t.same(Object.fromEntries(bad.map((c) => [c.id, c.state])), expected)
    for (const c of bad) t.ok(c.why && c.fix, `${c.id} says why and what to do`)
    if (fix !== undefined) t.match(bad[0]?.fix, fix)
  })
}

t.test('hosts with the same trouble are one finding', async (t) => {
  const hosts = Array.from({ length: 9 }, (_, i) => unlinked(i + 2, 'connect ETIMEDOUT'))
  const bad = judgePeers({ ...well, hosts: [own, ...hosts, unlinked(20, 'connect ECONNREFUSED')] })
  t.match(
    bad.filter((c) => c.state !== 'ok').map((c) => c.what),
    [/^not linked: host 2 \(h2\): .*; host 6 \(h6\): connect ETIMEDOUT and 4 more$/, /host 20/],
  )
})

t.test('facts come from the gateway, and from the program that sets the clock', async (t) => {
  const dir = scratchFolder(t)
  const answers: Record<string, unknown> = {
    '/v1/hosts': [hostView(1), hostView(2)],
    '/v1/status': { tunnel: well.tunnel },
  }
  const server = createServer((req, res) => res.end(JSON.stringify(answers[req.url ?? ''])))
  await new Promise<void>((resolve) => {
    server.listen(join(dir, 's'), resolve)
  })
  t.teardown(() => server.close())
  const machine = (socket: string, synchronized: string) =>
    fakeHost({
      files: { '/f.yaml': daemonTemplate().replace('/run/flatnet/gateway.sock', socket) },
      programs: { 'timedatectl show -p NTPSynchronized --value': `${synchronized}\n` },
    })
  const gather = (host: ReturnType<typeof machine>) =>
    gatherPeers(host, findPlaces(host, { config: '/f.yaml', cniConfDir: '/none' }))
  t.match(await gather(machine(join(dir, 's'), 'no')), {
    hosts: [{ hostId: 1 }, { hostId: 2 }],
    tunnel: { device: 'flatnet-gw' },
    isClockSynchronized: false,
  })
  t.same(await gather(machine('/nowhere.sock', 'yes')), {
    hosts: [],
    tunnel: null,
    isClockSynchronized: true,
  })
})
