/** Doctor's judges of the machine and of Podman: one row per trap. */
import t from 'tap'
import { gatherPodman, judgePodman, type PodmanFacts } from '../../../../cli/doctor/podman.ts'
import { gatherKernel } from '../../../../cli/doctor/system/kernel.ts'
import { gatherSystem, judgeSystem, type SystemFacts } from '../../../../cli/doctor/system/system.ts'
import { type FakeMachine, fakeHost } from '../../../helpers/gateway/fake-host.ts'

const RELEASE = '6.1.0-18-amd64'
const parts = {
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
  kernel: { release: RELEASE, parts },
  hasLibatomic: true,
  ipForward: true,
  rpFilter: { flatnet0: 2 },
}

const kernelWith = (change: Partial<SystemFacts['kernel']['parts']>): Partial<SystemFacts> => ({
  kernel: { release: RELEASE, parts: { ...parts, ...change } as SystemFacts['kernel']['parts'] },
})

const systems: readonly [name: string, change: Partial<SystemFacts>, expected: Record<string, string>][] = [
  ['a machine that is well', {}, {}],
  ['another user', { uid: 1000 }, { root: 'fail' }],
  ['root of a user namespace', { isUserNamespace: true }, { root: 'fail' }],
  ['a kernel without veth', kernelWith({ veth: 'missing' }), { kernel: 'fail' }],
  ['modules that are loaded on use', kernelWith({ veth: 'loadable' }), {}],
  ['nothing to tell by', kernelWith({ veth: 'unknown' }), { kernel: 'warn' }],
  ['WSL', { kernel: { release: '5.15.90.1-microsoft-standard-WSL2', parts } }, { wsl: 'warn' }],
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
  t.match(facts.kernel.parts, { veth: 'present', nft_masq: 'unknown' })
})

const NFT =
  'nft add table inet t; add chain inet t c { type nat hook postrouting priority 100; }; add rule inet t c masquerade'
const trials = {
  'unshare --net true': '',
  'nft -V': 'nftables v1.0.6',
  [`unshare --net ${NFT}`]: '',
}
const kernels: readonly [name: string, machine: FakeMachine, expected: string][] = [
  ['loaded', { files: { '/proc/modules': 'nft_masq 1 0 - Live 0x0\n' } }, 'present'],
  ['in /sys/module', { files: { '/sys/module/nft_masq/refcnt': '1' } }, 'present'],
  [
    'built in, where there is /lib/modules',
    { files: { [`/lib/modules/${RELEASE}/modules.builtin`]: 'kernel/net/netfilter/nft_masq.ko\n' } },
    'present',
  ],
  [
    'a module on the disk',
    {
      files: {
        [`/lib/modules/${RELEASE}/modules.builtin`]: '',
        [`/lib/modules/${RELEASE}/modules.dep`]: 'kernel/net/netfilter/nft_masq.ko.xz:\n',
      },
    },
    'loadable',
  ],
  [
    'neither, though there is /lib/modules',
    { files: { [`/lib/modules/${RELEASE}/modules.builtin`]: '' }, programs: trials },
    'missing',
  ],
  ['built in, as /boot says', { files: { [`/boot/config-${RELEASE}`]: 'CONFIG_NFT_MASQ=y\n' } }, 'present'],
  [
    'built in, as the kernel itself says',
    { programs: { 'zcat /proc/config.gz': '# CONFIG_X is not set\nCONFIG_NFT_MASQ=y\n' } },
    'present',
  ],
  ['no file says anything, and it works', { programs: trials }, 'present'],
  [
    'no file says anything, and it does not work',
    {
      programs: {
        ...trials,
        [`unshare --net ${NFT}`]: { code: 1, stdout: '', stderr: 'Error: No such file or directory' },
      },
    },
    'missing',
  ],
  [
    'no file says anything, and nothing may be tried',
    {
      programs: {
        ...trials,
        'unshare --net true': { code: 1, stdout: '', stderr: 'unshare failed: Operation not permitted' },
      },
    },
    'unknown',
  ],
  ['no nft to try it with', { programs: { 'unshare --net true': '' } }, 'unknown'],
]
for (const [name, machine, expected] of kernels) {
  t.test(`a part of the kernel: ${name}`, async (t) => {
    t.equal(gatherKernel(fakeHost(machine), RELEASE).parts['nft_masq'], expected)
  })
}

const podman: PodmanFacts = {
  version: '4.3.1',
  backend: 'cni',
  seen: ['podman', 'flatnet'],
  networks: [{ name: 'flatnet', dialect: 'cni', file: '/net.d/10-flatnet.conflist' }],
}
const NETWORK_FILE = { name: 'flatnet', dialect: 'netavark', file: '/networks/flatnet.json' } as const
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
  ['Podman 5', { version: '5.4.2', backend: 'netavark', networks: [NETWORK_FILE] }, {}],
  [
    'Podman 5 after an upgrade, with a conflist',
    { version: '5.4.2', backend: 'netavark' },
    { 'podman-network': 'fail' },
    /flatnet install --network flatnet moves it/,
  ],
  [
    'Podman 4 after a downgrade, with a network file',
    { networks: [NETWORK_FILE] },
    { 'podman-network': 'fail' },
    /flatnet install --network flatnet moves it/,
  ],
  [
    'Podman 5 beside containerd: both files',
    { version: '5.4.2', backend: 'netavark', networks: [...podman.networks, NETWORK_FILE] },
    {},
  ],
  ['Podman 4.9 with netavark', { version: '4.9.3', backend: 'netavark', networks: [NETWORK_FILE] }, {}],
  ['Podman 5 that says nothing', { version: '5.4.2', backend: undefined }, { 'podman-backend': 'warn' }],
  [
    'Podman 5 that skips our network file',
    { version: '5.4.2', backend: 'netavark', networks: [NETWORK_FILE], seen: ['podman'] },
    { 'podman-network': 'fail' },
  ],
  ['Podman 5 built with CNI', { version: '5.0.2' }, {}],
  ['Podman 6', { version: '6.0.0', backend: 'netavark', networks: [NETWORK_FILE] }, {}],
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
  t.same(gatherPodman(host, podman.networks), podman)
  t.match(gatherPodman(fakeHost({}), []), { version: undefined, seen: [] })
})
