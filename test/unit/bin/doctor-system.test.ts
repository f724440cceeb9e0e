/** Doctor's judges of the machine and of Podman: one row per trap. */
import t from 'tap'
import { gatherPodman, judgePodman, type PodmanFacts } from '../../../bin/cli/doctor/podman.ts'
import { gatherSystem, judgeSystem, type SystemFacts } from '../../../bin/cli/doctor/system.ts'
import { fakeHost } from '../../helpers/fake-host.ts'

const modules = {
  bridge: 'present',
  veth: 'present',
  nf_tables: 'present',
  nf_conntrack: 'present',
  nft_nat: 'present',
  nft_masq: 'present',
} as const
const well: SystemFacts = {
  uid: 0,
  isUserNamespace: false,
  kernel: '6.1.0-18-amd64',
  modules,
  hasLibatomic: true,
  ipForward: true,
  rpFilter: { flatnet0: 2 },
}

const systems: readonly [name: string, change: Partial<SystemFacts>, expected: Record<string, string>][] = [
  ['a machine that is well', {}, {}],
  ['another user', { uid: 1000 }, { root: 'fail' }],
  ['root of a user namespace', { isUserNamespace: true }, { root: 'fail' }],
  ['a kernel without veth', { modules: { ...modules, veth: 'missing' } }, { kernel: 'fail' }],
  ['modules that are loaded on use', { modules: { ...modules, veth: 'loadable' } }, {}],
  ['no /lib/modules', { modules: { ...modules, veth: 'unknown' } }, { kernel: 'warn' }],
  ['WSL', { kernel: '5.15.90.1-microsoft-standard-WSL2' }, { wsl: 'warn' }],
  ['no libatomic', { hasLibatomic: false }, { libatomic: 'fail' }],
  ['no forwarding', { ipForward: false }, { 'ip-forward': 'warn' }],
  ['strict rp_filter', { rpFilter: { flatnet0: 1 } }, { 'rp-filter': 'warn' }],
  ['strict on the tunnel', { rpFilter: { flatnet0: 2, 'flatnet-gw': 1 } }, { 'rp-filter': 'warn' }],
]
for (const [name, change, expected] of systems) {
  t.test(name, async (t) => {
    const bad = judgeSystem({ ...well, ...change }).filter((c) => c.state !== 'ok')
    t.same(Object.fromEntries(bad.map((c) => [c.id, c.state])), expected)
    for (const c of bad) t.ok(c.why && c.fix, `${c.id} says why and what to do`)
  })
}

t.test('facts come from files and programs', async (t) => {
  const host = fakeHost({
    uid: 1000,
    files: {
      '/proc/modules': 'veth 40960 0 - Live 0x0\nbridge 1 0 - Live 0x0\n',
      '/proc/sys/net/ipv4/ip_forward': '0\n',
      '/proc/sys/net/ipv4/conf/all/rp_filter': '1\n',
      '/proc/sys/net/ipv4/conf/flatnet0/rp_filter': '0\n',
      '/proc/self/uid_map': '         0       1000          1\n',
      '/usr/lib64/libatomic.so.1': '',
    },
  })
  const facts = gatherSystem(host, ['flatnet0', 'absent'])
  t.match(facts, { uid: 1000, isUserNamespace: true, hasLibatomic: true, ipForward: false })
  t.same(facts.rpFilter, { flatnet0: 1 }, 'the larger of all and its own counts')
  t.match(facts.modules, { veth: 'present', nft_masq: 'unknown' })
})

const podman: PodmanFacts = {
  version: '4.3.1',
  backend: 'cni',
  seen: ['podman', 'flatnet'],
  expected: ['flatnet'],
}
const podmans: readonly [
  name: string,
  change: Partial<PodmanFacts>,
  expected: Record<string, string>,
  text?: RegExp,
][] = [
  ['Podman 4 with CNI', {}, {}],
  ['no Podman', { version: undefined }, { podman: 'warn' }],
  [
    'Podman 4 with netavark',
    { backend: 'netavark' },
    { 'podman-backend': 'fail' },
    /network_backend = "cni"/,
  ],
  ['Podman 5', { version: '5.0.2', backend: 'netavark' }, { 'podman-backend': 'fail' }, /use Podman 4\.x/],
  ['Podman 5 built with CNI', { version: '5.0.2' }, {}],
  ['Podman 6', { version: '6.0.0', backend: 'netavark' }, { 'podman-backend': 'fail' }, /use Podman 4\.x/],
  ['Podman that skips our conflist', { seen: ['podman'] }, { 'podman-network': 'fail' }],
]
for (const [name, change, expected, text] of podmans) {
  t.test(name, async (t) => {
    const bad = judgePodman({ ...podman, ...change }).filter((c) => c.state !== 'ok')
    t.same(Object.fromEntries(bad.map((c) => [c.id, c.state])), expected)
    if (text) t.match(bad[0]?.fix, text)
  })
}

t.test('what Podman says', async (t) => {
  const host = fakeHost({
    programs: {
      'podman --version': 'podman version 4.3.1\n',
      'podman info --format json': '{"host":{"networkBackend":"cni"}}',
      'podman network ls --format json': '[{"name":"podman"},{"name":"flatnet"}]',
    },
  })
  t.same(gatherPodman(host, ['flatnet']), podman)
  t.match(gatherPodman(fakeHost({}), []), { version: undefined, seen: [] })
})
