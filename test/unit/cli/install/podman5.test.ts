/** What install plans for a Podman without CNI, and how a host gets from one dialect to the other. */
import t from 'tap'
import { findNetworks } from '../../../../cli/host/networks.ts'
import { dialectOf, type Podman } from '../../../../cli/host/podman-dialect.ts'
import { Changes } from '../../../../cli/install/changes.ts'
import type { InstallOptions } from '../../../../cli/install/file-plan.ts'
import { type MadeKind, type Manifest, sha256 } from '../../../../cli/install/manifest.ts'
import { planInstall } from '../../../../cli/install/plan.ts'
import { removeOther } from '../../../../cli/install/target.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'

const options: InstallOptions = {
  network: 'flatnet',
  config: '/etc/flatnet/flatnet.yaml',
  dialect: 'netavark',
  cniConfDir: '/net.d',
  networkFileDir: '/networks',
  pluginDir: '/libexec/netavark',
  binDir: '/usr/local/bin',
  systemdDir: '/systemd',
  hasService: false,
  isForced: false,
}
const FILE = '/networks/flatnet.json'
const CONFLIST = '/net.d/10-flatnet.conflist'

type Files = Readonly<Record<string, string>>
const plan = (files: Files, o: Partial<InstallOptions> = {}, manifest?: Manifest) =>
  planInstall(fakeHost({ files }), manifest, { ...options, ...o })
const record = (kind: MadeKind, path: string, text: string): Manifest => ({
  version: '0.1.0',
  made: [{ path, kind, sha256: sha256(text), text }],
})
/** Without flatnet.yaml's own differences, which another test looks at. */
const installed = (o: Partial<InstallOptions> = {}) => {
  const first = plan({}, o)
  const { path, text } = first.network
  const files = { [path]: text, [options.config]: first.config.text }
  return { path, text, files, manifest: record(o.dialect === 'cni' ? 'conflist' : 'network', path, text) }
}

t.test('which dialect', (t) => {
  const cases: readonly (readonly [Partial<Podman>, 'cni' | 'netavark' | undefined, 'cni' | 'netavark'])[] = [
    [{}, undefined, 'cni'],
    [{}, 'netavark', 'netavark'],
    [{ version: '4.3.1', backend: 'cni' }, undefined, 'cni'],
    [{ version: '4.3.1', backend: 'netavark' }, undefined, 'cni'],
    [{ version: '4.4.4', backend: 'netavark' }, 'netavark', 'cni'],
    [{ version: '4.5.0', backend: 'netavark' }, 'cni', 'netavark'],
    [{ version: '4.9.3', backend: 'cni' }, 'netavark', 'cni'],
    [{ version: '4.9.3' }, 'cni', 'cni'],
    [{ version: '4.9.3' }, 'netavark', 'netavark'],
    [{ version: '5.4.2', backend: 'netavark' }, 'cni', 'netavark'],
    [{ version: '5.4.2' }, 'cni', 'netavark'],
    [{ version: '5.0.0', backend: 'cni' }, undefined, 'cni'],
    [{ version: '6.0.0-dev', backend: 'netavark' }, undefined, 'netavark'],
    [{ version: '10.1.0', backend: 'netavark' }, undefined, 'netavark'],
  ]
  for (const [podman, before, expected] of cases)
    t.equal(
      dialectOf({ version: undefined, backend: undefined, ...podman }, before),
      expected,
      `${podman.version} with ${podman.backend}, ${before} before`,
    )
  t.end()
})

t.test('a new host gets a network file with its own values', (t) => {
  const { problems, network, slice } = plan({}, { hostId: 3, socket: '/run/x.sock', httpPort: 3000 })
  t.strictSame(problems, [])
  t.equal(slice, '10.100.3.0/24')
  t.match(network, { path: FILE, action: 'write', needsBackup: false, replaced: [] })
  const file = JSON.parse(network.text)
  t.match(file, {
    name: 'flatnet',
    id: /^[0-9a-f]{64}$/,
    driver: 'flatnet',
    network_interface: 'flatnet0',
    subnets: [{ subnet: '10.100.3.0/24', gateway: '10.100.3.1' }],
    ipam_options: { driver: 'flatnet' },
    options: { 'ipam.hostId': '3', httpPort: '3000', 'registrar.endpoint': 'unix:///run/x.sock' },
  })
  t.ok(
    Object.values(file.options).every((value) => typeof value === 'string'),
    'Podman reads texts alone',
  )
  const { networks } = findNetworks(fakeHost({ files: { [FILE]: network.text } }), '/net.d', '/networks')
  t.match(networks, [{ name: 'flatnet', dialect: 'netavark', problems: [], conf: { httpPort: 3000 } }])
  t.end()
})

t.test('run again, it keeps what is there; what Podman added stays', (t) => {
  const { text, files, manifest } = installed({ hostId: 3 })
  t.match(plan(files, {}, manifest), {
    problems: [],
    slice: '10.100.3.0/24',
    network: { action: 'keep', text },
  })
  const updated = JSON.stringify({ ...JSON.parse(text), network_dns_servers: ['10.0.0.1'] })
  t.match(plan({ ...files, [FILE]: updated }, {}, manifest).network, { action: 'keep', text: updated })
  const changed = plan({ ...files, [FILE]: updated }, { httpPort: 81 }, manifest)
  t.match(changed.problems, [/options\.httpPort: "80" -> "81".*--force/])
  const forced = plan({ ...files, [FILE]: updated }, { httpPort: 81, isForced: true }, manifest)
  t.match(forced, { problems: [], network: { needsBackup: true } })
  t.strictSame(JSON.parse(forced.network.text).network_dns_servers, ['10.0.0.1'])
  t.end()
})

t.test('Podman was upgraded: the conflist becomes a network file', (t) => {
  const o = { hostId: 3, supernet: '10.50.0.0/16', bridge: 'br7', dataDir: '/srv/flatnet', httpPort: 81 }
  const { files, manifest, text } = installed({ ...o, dialect: 'cni' })
  const moved = plan(files, {}, manifest)
  t.match(moved, {
    problems: [],
    slice: '10.50.3.0/24',
    config: { action: 'keep' },
    network: {
      path: FILE,
      from: CONFLIST,
      replaced: [CONFLIST],
      action: 'write',
      needsBackup: false,
      note: `moved from ${CONFLIST}`,
    },
  })
  t.match(JSON.parse(moved.network.text), {
    network_interface: 'br7',
    options: { 'ipam.supernet': '10.50.0.0/16', dataDir: '/srv/flatnet', httpPort: '81' },
  })
  t.test('a changed one too, with a backup', async (t) => {
    const byHand = text.replace('"httpPort": 81', '"httpPort": 82')
    const { network, problems } = plan({ ...files, [CONFLIST]: byHand }, {}, manifest)
    t.strictSame(problems, [])
    t.match(network, { from: CONFLIST, replaced: [CONFLIST], needsBackup: true })
    t.equal(JSON.parse(network.text).options.httpPort, '82')
  })
  t.test('pruned before the upgrade: from the record', async (t) => {
    const { network } = plan({ [options.config]: files[options.config] ?? '' }, {}, manifest)
    t.equal(JSON.parse(network.text).options.httpPort, '81')
  })
  t.test('beside containerd the conflist stays', async (t) => {
    const { network, problems } = plan(files, { cniRuntime: 'containerd' }, manifest)
    t.strictSame(problems, [])
    t.match(network, { replaced: [], note: /stays for containerd/ })
    const both = { ...files, [FILE]: network.text }
    t.match(plan(both, { cniRuntime: 'containerd' }, record('network', FILE, network.text)), {
      problems: [],
      network: { action: 'keep', replaced: [] },
    })
  })
  t.end()
})

t.test('and back again', (t) => {
  const { files, manifest } = installed({ hostId: 3, httpPort: 81 })
  const back = plan(files, { dialect: 'cni' }, manifest)
  t.match(back, {
    problems: [],
    slice: '10.100.3.0/24',
    network: { path: CONFLIST, from: FILE, replaced: [FILE], needsBackup: false, note: `moved from ${FILE}` },
  })
  t.match(JSON.parse(back.network.text), {
    cniVersion: '1.0.0',
    plugins: [
      {
        httpPort: 81,
        ipam: { hostId: 3 },
        capabilities: { portMappings: true, ips: true, mac: true, aliases: true },
      },
    ],
  })
  t.end()
})

t.test('a network of that name with another driver is not ours', (t) => {
  const files = { [FILE]: '{"name":"flatnet","driver":"bridge"}' }
  t.match(plan(files).problems, [/driver bridge: choose --network/])
  t.match(plan({ [FILE]: '{' }).problems, [/no JSON object.*--force/])
  t.end()
})

t.test('which records end with a move, and whether the plugin of the other Podman goes', (t) => {
  const plugin = { path: '/opt/cni/bin/flatnet', kind: 'plugin' as const }
  const conflist = { path: CONFLIST, kind: 'conflist' as const }
  const manifest: Manifest = { version: '0.1.0', made: [plugin, conflist] }
  const silent = { stdout: { write() {} }, stderr: { write() {} } }
  const { text } = installed({ dialect: 'cni' })
  const gone = (
    files: Files,
    o: Partial<InstallOptions & { executables: boolean }>,
    replaced: string[] = [],
  ) => {
    const host = fakeHost({ files })
    const all = { ...options, executables: true, ...o }
    const network = { ...plan({}).network, replaced }
    return removeOther(host, new Changes(silent, host, true), manifest, { o: all, network }).map(
      ({ path }) => path,
    )
  }
  const second = text.replace('"flatnet",', '"second",')
  t.strictSame(gone({ [CONFLIST]: text }, {}, [CONFLIST]), [CONFLIST, plugin.path], 'moved: both')
  t.strictSame(gone({}, {}), [CONFLIST, plugin.path], 'pruned before: both')
  t.strictSame(
    gone({ [CONFLIST]: text, '/net.d/10-second.conflist': second }, {}, [CONFLIST]),
    [CONFLIST],
    'another conflist needs the plugin',
  )
  t.strictSame(
    gone({ [CONFLIST]: text }, { executables: false }, [CONFLIST]),
    [CONFLIST],
    'a package has put it there',
  )
  t.strictSame(gone({ [CONFLIST]: text }, { cniRuntime: 'containerd' }), [], 'containerd needs both')
  t.strictSame(
    gone({ [CONFLIST]: text }, { dialect: 'cni', pluginDir: '/other' }),
    [],
    'another --cni-bin-dir',
  )
  t.end()
})
