/** Doctor's judges of conflists, plugin, routes, bridge, leases and gateway. */
import t from 'tap'
import type { Finding } from '../../../../cli/doctor/check.ts'
import { type ClusterFacts, judgeCluster } from '../../../../cli/doctor/cluster.ts'
import { type ConflistFacts, judgeConflist } from '../../../../cli/doctor/conflist.ts'
import { type GatewayFacts, judgeGateway } from '../../../../cli/doctor/gateway.ts'
import { judgeLeases, type LeaseFacts } from '../../../../cli/doctor/leases.ts'
import { findPlugin } from '../../../../cli/doctor/plugin.ts'
import { gatherRoutes, judgeRoutes, type RouteFacts } from '../../../../cli/doctor/routes.ts'
import { findNetworks } from '../../../../cli/host/networks.ts'
import { conflistTemplate } from '../../../../conf/templates.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'

const DIR = '/etc/cni/net.d'
// biome-ignore lint/suspicious/noExplicitAny: a conflist to be made wrong
const edited = (edit: (list: Record<string, any>) => void): string => {
  const list = JSON.parse(conflistTemplate())
  edit(list)
  return JSON.stringify(list)
}
const found = (files: Record<string, string>) =>
  findNetworks(
    fakeHost({ files: Object.fromEntries(Object.entries(files).map(([k, v]) => [`${DIR}/${k}`, v])) }),
    DIR,
    '/networks',
  )

function conflistFacts(files: Record<string, string>, change: Partial<ConflistFacts> = {}): ConflistFacts {
  return {
    cniConfDir: DIR,
    ...found(files),
    hasOthers: false,
    removed: [],
    files: Object.keys(files).sort(),
    firstTakers: [],
    pluginDirs: ['/opt/cni/bin'],
    plugin: { path: '/opt/cni/bin/flatnet', version: '0.1.0' },
    version: '0.1.0',
    ...change,
  }
}
const bad = (checks: readonly Finding[]): Record<string, string> =>
  Object.fromEntries(checks.filter((c) => c.state !== 'ok').map((c) => [c.id, c.state]))
const template = { 'flatnet.conflist': conflistTemplate() }

const conflists: readonly [name: string, facts: ConflistFacts, expected: Record<string, string>][] = [
  ['the template', conflistFacts(template), {}],
  ['others are not looked at', conflistFacts({ ...template, 'x.conflist': '{' }), {}],
  ['nothing', conflistFacts({}), { 'conflist-present': 'fail' }],
  ['bad JSON', conflistFacts({ 'f.conflist': '{ "name": "flatnet"' }), { 'conflist-readable': 'fail' }],
  [
    'pruned by Podman',
    conflistFacts({}, { removed: [`${DIR}/flatnet.conflist`] }),
    { 'conflist-present': 'fail' },
  ],
  [
    'wrong values',
    conflistFacts({
      'f.conflist': edited((l) => {
        l['plugins'][0].ipam.hostId = 300
      }),
    }),
    { 'conflist-valid': 'fail' },
  ],
  [
    'cniVersion 1.1.0',
    conflistFacts({
      'f.conflist': edited((l) => {
        l['cniVersion'] = '1.1.0'
      }),
    }),
    { 'conflist-cniversion': 'fail' },
  ],
  [
    'a missing capability',
    conflistFacts({
      'f.conflist': edited((l) => {
        delete l['plugins'][0].capabilities.ips
      }),
    }),
    { 'conflist-capabilities': 'warn' },
  ],
  [
    'one name twice',
    conflistFacts({ ...template, 'z.conflist': conflistTemplate() }),
    { 'conflist-unique': 'fail' },
  ],
  [
    'overlapping slices',
    conflistFacts({
      ...template,
      'z.conflist': edited((l) => {
        l['name'] = 'b'
      }),
    }),
    { 'slices-overlap': 'fail' },
  ],
  [
    "another network's file is the first, and only Podman is here",
    conflistFacts({ ...template, '05-x.conflist': '{}' }),
    {},
  ],
  [
    "another network's file is the first, and containerd would take it",
    conflistFacts({ ...template, '05-x.conflist': '{}' }, { firstTakers: ['containerd'] }),
    { 'conflist-first': 'warn' },
  ],
  [
    "ours is the first, before Debian's",
    conflistFacts(
      { '10-flatnet.conflist': conflistTemplate(), '87-podman-bridge.conflist': '{}' },
      { firstTakers: ['containerd'] },
    ),
    {},
  ],
  ['no plugin', conflistFacts(template, { plugin: undefined }), { plugin: 'fail' }],
  [
    'a plugin that does not start',
    conflistFacts(template, { plugin: { path: '/p', version: undefined } }),
    { plugin: 'fail' },
  ],
  [
    'a plugin of another version',
    conflistFacts(template, { plugin: { path: '/p', version: '0.0.9' } }),
    { plugin: 'warn' },
  ],
]
for (const [name, facts, expected] of conflists) {
  t.test(`conflist: ${name}`, async (t) => t.same(bad(judgeConflist(facts)), expected))
}

t.test('the first plugin in the directories is asked, whichever of our executables it is', async (t) => {
  for (const about of [
    'CNI flatnet plugin 0.1.0',
    'CNI flatnet plugin v0.1.0; the command line is in "flatnet"',
  ]) {
    const stderr = `${about}\nCNI protocol versions supported: 1.0.0\n`
    const host = fakeHost({
      files: { '/b/flatnet': '', '/c/flatnet': '' },
      programs: { 'env -u CNI_COMMAND /b/flatnet': { code: 0, stdout: '', stderr } },
    })
    t.same(findPlugin(host, ['/a', '/b', '/c']), { path: '/b/flatnet', version: '0.1.0' })
    t.equal(findPlugin(host, ['/a']), undefined)
  }
})

const { networks } = found(template)
const routesWell: RouteFacts = {
  networks,
  routes: [
    { dst: 'default', dev: 'eth0' },
    { dst: '192.168.1.0/24', dev: 'eth0' },
    { dst: '10.100.1.0/24', dev: 'flatnet0' },
    { dst: '10.100.1.1', dev: 'flatnet0', type: 'local' },
    { dst: '10.100.2.0/24', dev: 'flatnet-gw' },
  ],
  links: [
    { ifname: 'eth0', mtu: 1500, addresses: ['192.168.1.5/24'] },
    { ifname: 'flatnet0', mtu: 1500, kind: 'bridge', addresses: ['10.100.1.1/24'] },
  ],
}
const withRoute = (dst: string, dev: string): RouteFacts => ({
  ...routesWell,
  routes: [...(routesWell.routes ?? []), { dst, dev }],
})
const withBridge = (link: Partial<RouteFacts['links'][number]>): RouteFacts => ({
  ...routesWell,
  links: routesWell.links.map((l) => (l.ifname === 'flatnet0' ? { ...l, ...link } : l)),
})
const routes: readonly [name: string, facts: RouteFacts, expected: Record<string, string>, text?: RegExp][] =
  [
    ['only ours', routesWell, {}],
    [
      'a company network over all of 10/8',
      withRoute('10.0.0.0/8', 'wg0'),
      { 'route-overlap': 'fail' },
      /10\.0\.0\.0\/8 dev wg0 \(WireGuard\)/,
    ],
    [
      'one address of ours in a VPN',
      withRoute('10.100.7.7', 'tailscale0'),
      { 'route-overlap': 'fail' },
      /Tailscale/,
    ],
    ['a VPN that takes everything', withRoute('0.0.0.0/1', 'tun0'), {}],
    ['no ip command', { ...routesWell, routes: undefined }, { 'route-overlap': 'warn' }],
    [
      'a bridge of another slice',
      withBridge({ addresses: ['10.100.3.1/24'] }),
      { bridge: 'fail' },
      /has 10\.100\.3\.1\/24; it should have 10\.100\.1\.1\/24/,
    ],
    ['a bridge without its address', withBridge({ addresses: [] }), {}],
    ['a device that is no bridge', withBridge({ kind: 'dummy' }), { bridge: 'fail' }],
    ['no bridge yet', { ...routesWell, links: [] }, {}],
    [
      'an address of this host in our network',
      {
        ...routesWell,
        links: [...routesWell.links, { ifname: 'eth1', mtu: 1500, addresses: ['10.100.0.7/32'] }],
      },
      { underlay: 'fail' },
      /10\.100\.0\.7\/32 of eth1 lies inside 10\.100\.0\.0\/16/,
    ],
    [
      'a router in our network',
      { ...routesWell, routes: [{ dst: 'default', gateway: '10.100.255.1', dev: 'eth0' }] },
      { underlay: 'fail' },
      /the default route by 10\.100\.255\.1/,
    ],
    [
      'the address that the tunnel bears',
      {
        ...routesWell,
        links: [...routesWell.links, { ifname: 'flatnet-gw', mtu: 1500, addresses: ['10.100.1.1/32'] }],
      },
      {},
    ],
    ['a bridge larger than the uplink', withBridge({ mtu: 9000 }), { mtu: 'warn' }],
  ]
for (const [name, facts, expected, text] of routes) {
  t.test(`routes: ${name}`, async (t) => {
    const checks = judgeRoutes(facts)
    t.same(bad(checks), expected)
    if (text) t.match(checks.find((c) => c.state !== 'ok')?.what, text)
  })
}

t.test('a free supernet is proposed', async (t) => {
  const [check] = judgeRoutes(withRoute('10.96.0.0/12', 'tun0'))
  t.match(check?.fix, /--supernet 10\.112\.0\.0\/16/)
})

t.test('routes come from ip', async (t) => {
  const link = {
    ifname: 'flatnet0',
    mtu: 1500,
    linkinfo: { info_kind: 'bridge' },
    addr_info: [
      { family: 'inet', local: '10.100.1.1', prefixlen: 24 },
      { family: 'inet6', local: 'fe80::1', prefixlen: 64 },
    ],
  }
  const host = fakeHost({
    programs: {
      'ip -j -4 route show table all': '[{"dst":"default","dev":"eth0"}]',
      'ip -j -d addr show': JSON.stringify([link]),
    },
  })
  t.match(gatherRoutes(host, []), {
    routes: [{ dst: 'default' }],
    links: [{ ifname: 'flatnet0', kind: 'bridge', addresses: ['10.100.1.1/24'] }],
  })
})

const leases = (change: Partial<LeaseFacts['networks'][number]>): LeaseFacts => ({
  unreadable: [],
  setAside: [],
  networks: [{ network: 'flatnet', used: 3, stale: 0, size: 245, ...change }],
})
const leaseCases: readonly [name: string, facts: LeaseFacts, expected: Record<string, string>][] = [
  ['a few', leases({}), {}],
  ['stale ones', leases({ stale: 2 }), { 'leases-stale': 'warn' }],
  ['nearly full', leases({ used: 230 }), { 'leases-full': 'warn' }],
  ['full', leases({ used: 245 }), { 'leases-full': 'fail' }],
  ['a network whose conflist is gone', leases({ size: undefined }), {}],
  [
    'unreadable',
    { unreadable: [{ network: 'flatnet', reason: 'EIO' }], setAside: [], networks: [] },
    { 'leases-readable': 'fail' },
  ],
  [
    'set aside',
    { unreadable: [], setAside: ['/x.json.broken-1'], networks: [] },
    { 'leases-set-aside': 'warn' },
  ],
]
for (const [name, facts, expected] of leaseCases) {
  t.test(`leases: ${name}`, async (t) => t.same(bad(judgeLeases(facts)), expected))
}

const gatewayWell: GatewayFacts = {
  config: '/etc/flatnet/flatnet.yaml',
  hasConf: true,
  confProblems: [],
  socket: '/run/flatnet/gateway.sock',
  answer: { version: '0.1.0' },
  strayEndpoints: [],
  strayNetworks: [],
  unit: { active: 'active', enabled: 'enabled' },
  hasSystemd: true,
  version: '0.1.0',
}
const cluster = {
  name: 'testing',
  version: 7,
  members: 3,
  linksUp: 2,
  port: 7443,
  expelled: null,
  certificate: {
    state: 'valid' as const,
    validTo: '2027-02-18T12:00:00.000Z',
    renewsAt: '2027-01-19T12:00:00.000Z',
  },
}
const late = { ...cluster.certificate, state: 'expires soon' as const, warning: 'it ends in 9 days' }
const clusters: readonly [name: string, facts: ClusterFacts, expected: Record<string, string>][] = [
  ['none', { isMember: false, status: null }, {}],
  ['well', { isMember: true, status: cluster }, {}],
  ['a gateway that is down', { isMember: true, status: undefined }, {}],
  ['files that are not used', { isMember: true, status: null }, { cluster: 'fail' }],
  ['revoked', { isMember: true, status: { ...cluster, expelled: 'it was revoked' } }, { cluster: 'fail' }],
  ['a late renewal', { isMember: true, status: { ...cluster, certificate: late } }, { certificate: 'warn' }],
  [
    'an expired certificate',
    { isMember: true, status: { ...cluster, certificate: { ...late, state: 'expired' } } },
    { certificate: 'fail' },
  ],
]
for (const [name, facts, expected] of clusters) {
  t.test(`cluster: ${name}`, async (t) => t.same(bad(judgeCluster(facts)), expected))
}

const gateways: readonly [name: string, change: Partial<GatewayFacts>, expected: Record<string, string>][] = [
  ['well', {}, {}],
  ['without systemd', { unit: undefined }, {}],
  ['down', { answer: { error: 'no such socket' } }, { gateway: 'fail' }],
  ['that this user may not ask', { answer: { error: 'EACCES', silence: 'denied' } }, { gateway: 'warn' }],
  ['of another version', { answer: { version: '0.0.9' } }, { gateway: 'warn' }],
  ['no flatnet.yaml', { hasConf: false }, { 'gateway-config': 'warn' }],
  ['a wrong flatnet.yaml', { confProblems: ['hostId is missing'] }, { 'gateway-config': 'fail' }],
  ['another socket', { strayEndpoints: ['/run/x.sock'] }, { 'gateway-socket': 'warn' }],
  ['another slice', { strayNetworks: ['flatnet'] }, { 'gateway-slice': 'warn' }],
  ['a failed unit', { unit: { active: 'failed', enabled: 'enabled' } }, { 'gateway-unit': 'warn' }],
  ['a unit not enabled', { unit: { active: 'active', enabled: 'disabled' } }, { 'gateway-unit': 'warn' }],
]
for (const [name, change, expected] of gateways) {
  t.test(`gateway: ${name}`, async (t) => t.same(bad(judgeGateway({ ...gatewayWell, ...change })), expected))
}

t.test('without systemd nobody is told to use it', async (t) => {
  const without = { ...gatewayWell, config: '/f.yaml', unit: undefined, hasSystemd: false }
  for (const answer of [
    { error: 'no such socket' },
    { error: 'no answer', silence: 'hangs' as const },
    { version: '0.0.9' },
  ]) {
    const fix = judgeGateway({ ...without, answer }).at(-1)?.fix
    t.match(fix, /flatnet gateway --config \/f\.yaml/)
    t.notMatch(fix, /systemctl/)
    t.match(judgeGateway({ ...without, hasSystemd: true, answer }).at(-1)?.fix, /systemctl/)
  }
})
