/** Doctor's judge of Podman 5's network files, and of the plugin that they name. */
import t from 'tap'
import {
  judgeNetworkFiles,
  type NetworkFileFacts,
  withoutIpam,
} from '../../../../cli/doctor/network-files.ts'
import { findNetworks } from '../../../../cli/host/networks.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'

const DIR = '/etc/containers/networks'
const FILE = `${DIR}/flatnet.json`
const good = {
  name: 'flatnet',
  driver: 'flatnet',
  network_interface: 'flatnet0',
  options: { hostId: '1' },
  ipam_options: { driver: 'flatnet' },
}

function facts(files: Record<string, unknown>, change: Partial<NetworkFileFacts> = {}): NetworkFileFacts {
  const texts = Object.entries(files).map(([path, value]) => [
    path,
    typeof value === 'string' ? value : JSON.stringify(value),
  ])
  const host = fakeHost({ files: Object.fromEntries(texts) })
  const { networks, broken } = findNetworks(host, '/etc/cni/net.d', DIR)
  return {
    networks,
    broken,
    removed: [],
    withoutIpam: withoutIpam(host, networks),
    pluginDirs: ['/usr/libexec/netavark'],
    plugin: { path: '/usr/libexec/netavark/flatnet', version: '0.1.0' },
    version: '0.1.0',
    ...change,
  }
}

const cases: readonly [name: string, facts: NetworkFileFacts, expected: Record<string, string>][] = [
  ['as install writes it', facts({ [FILE]: good }), {}],
  ["a bridge network of Podman's own", facts({ [`${DIR}/x.json`]: { name: 'x', driver: 'bridge' } }), {}],
  ['none at all: the podman check speaks of it', facts({}, { plugin: undefined }), {}],
  ['no driver', facts({ [FILE]: { ...good, driver: undefined } }), { 'network-readable': 'fail' }],
  ['no JSON', facts({ [FILE]: '{' }), { 'network-readable': 'fail' }],
  ['removed by podman network prune', facts({}, { removed: [FILE] }), { 'network-present': 'fail' }],
  ['a wrong value', facts({ [FILE]: { ...good, options: { hostId: '300' } } }), { 'network-valid': 'fail' }],
  ['no host number', facts({ [FILE]: { ...good, options: null } }), { 'network-valid': 'fail' }],
  [
    'Podman chooses the addresses',
    facts({ [FILE]: { ...good, ipam_options: { driver: 'host-local' } } }),
    { 'network-ipam': 'fail' },
  ],
  [
    'no word on addresses',
    facts({ [FILE]: { ...good, ipam_options: undefined } }),
    { 'network-ipam': 'fail' },
  ],
  ['no plugin', facts({ [FILE]: good }, { plugin: undefined }), { plugin: 'fail' }],
  [
    'a plugin that does not start',
    facts({ [FILE]: good }, { plugin: { path: '/p', version: undefined } }),
    { plugin: 'fail' },
  ],
  [
    'a plugin of another version',
    facts({ [FILE]: good }, { plugin: { path: '/p', version: '0.0.9' } }),
    { plugin: 'warn' },
  ],
]
for (const [name, given, expected] of cases) {
  t.test(name, async (t) => {
    const bad = judgeNetworkFiles(given).filter(({ state }) => state !== 'ok')
    t.strictSame(Object.fromEntries(bad.map(({ id, state }) => [id, state])), expected)
    t.ok(bad.every(({ fix, why }) => fix && why))
  })
}
