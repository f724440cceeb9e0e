/** What install plans: defaults, what is in place and what is asked for, without touching anything. */
import t from 'tap'
import { configuredBackend, pluginDirs } from '../../../../cli/host/podman-conf.ts'
import { differences } from '../../../../cli/install/conflist.ts'
import type { InstallOptions } from '../../../../cli/install/file-plan.ts'
import { manifestPath, readManifest, sha256, stateOf } from '../../../../cli/install/manifest.ts'
import { planInstall, UNITS, unitText } from '../../../../cli/install/plan.ts'
import { parseDaemonConf } from '../../../../conf/daemon.ts'
import { conflistTemplate, daemonTemplate } from '../../../../conf/templates.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'

const options: InstallOptions = {
  network: 'flatnet',
  config: '/etc/flatnet/flatnet.yaml',
  cniConfDir: '/net.d',
  dialect: 'cni',
  networkFileDir: '/networks',
  pluginDir: '/opt/cni/bin',
  binDir: '/usr/local/bin',
  systemdDir: '/systemd',
  hasService: true,
  isForced: false,
}
const CONFLIST = '/net.d/10-flatnet.conflist'

t.test('a new host gets the templates with its own values', async (t) => {
  const plan = planInstall(fakeHost({}), undefined, {
    ...options,
    hostId: 3,
    listen: '127.0.0.1:81',
    socket: '/run/x.sock',
  })
  t.same(plan.problems, [])
  t.equal(plan.slice, '10.100.3.0/24')
  t.match(JSON.parse(plan.network.text), {
    cniVersion: '1.0.0',
    plugins: [{ ipam: { hostId: 3 }, registrar: { endpoint: 'unix:///run/x.sock' } }],
  })
  const conf = parseDaemonConf(plan.config.text)
  t.match(conf, { hostId: 3, api: { socket: '/run/x.sock' }, ingress: { host: '127.0.0.1', port: 81 } })
  t.match(plan.config.text, /^# Which slice of the supernet/m, 'comments stay')
  t.match(
    plan.units[0]?.text,
    /^ExecStart=\/usr\/local\/bin\/flatnet gateway --config \/etc\/flatnet\/flatnet\.yaml$/m,
  )
})

t.test('run again, it keeps what is there', async (t) => {
  const first = planInstall(fakeHost({}), undefined, { ...options, hostId: 3 })
  const files = {
    [CONFLIST]: first.network.text,
    [options.config]: first.config.text,
    ...Object.fromEntries(first.units.map(({ path, text }) => [path, text])),
  }
  const again = planInstall(fakeHost({ files }), undefined, options)
  t.same(
    [again.network, again.config, ...again.units].map(({ action }) => action),
    Array(4).fill('keep'),
  )
})

t.test('a conflist of ours is changed, one of others only by force', async (t) => {
  const text = conflistTemplate()
  const host = fakeHost({ files: { [CONFLIST]: text } })
  const manifest = {
    version: '0.1.0',
    made: [{ path: CONFLIST, kind: 'conflist' as const, sha256: sha256(text) }],
  }
  t.match(planInstall(host, manifest, { ...options, hostId: 2 }), {
    problems: [],
    network: { action: 'write', needsBackup: false },
  })
  t.match(planInstall(host, undefined, { ...options, hostId: 2 }).problems, [
    /plugins\[0\]\.ipam\.hostId: 1 -> 2.*--force/,
  ])
  const forced = planInstall(host, undefined, { ...options, hostId: 2, isForced: true })
  t.match(forced, { problems: [], network: { action: 'write', needsBackup: true } })
  const broken = fakeHost({ files: { [CONFLIST]: '{' } })
  t.match(planInstall(broken, undefined, options).problems, [/--force changes it/])
})

t.test('a conflist that Podman pruned, or that is broken, comes back as it was', async (t) => {
  const installArgs = {
    ...options,
    hostId: 3,
    supernet: '10.50.0.0/16',
    bridge: 'br7',
    dataDir: '/srv/flatnet',
  }
  const first = planInstall(fakeHost({}), undefined, installArgs)
  const { text } = first.network
  const made = [{ path: CONFLIST, kind: 'conflist' as const, sha256: sha256(text), text }]
  const config = { [options.config]: first.config.text }
  const pruned = planInstall(fakeHost({ files: config }), { version: '0.1.0', made }, options)
  t.match(pruned, { problems: [], slice: '10.50.3.0/24', config: { action: 'keep' } })
  t.equal(pruned.network.text, text)
  const broken = { ...config, [CONFLIST]: '{' }
  const forced = planInstall(
    fakeHost({ files: broken }),
    { version: '0.1.0', made },
    { ...options, isForced: true },
  )
  t.match(forced, {
    slice: '10.50.3.0/24',
    network: { text, needsBackup: true, note: 'it is no JSON object' },
  })
  t.test('without a record flatnet.yaml says which slice is this host’s', async (t) => {
    const plan = planInstall(fakeHost({ files: config }), undefined, options)
    t.match(plan, { problems: [], slice: '10.50.3.0/24', config: { action: 'keep' } })
    t.match(JSON.parse(plan.network.text).plugins, [{ dataDir: '/srv/flatnet' }])
    t.equal(
      planInstall(fakeHost({ files: config }), undefined, { ...options, hostId: 4 }).slice,
      '10.50.4.0/24',
    )
  })
  t.test('but not when it is another network’s', async (t) => {
    const files = { ...config, '/net.d/10-first.conflist': text.replace('"flatnet",', '"first",') }
    const o = { ...options, network: 'second', bridge: 'br8', hostId: 9 }
    t.equal(planInstall(fakeHost({ files }), undefined, o).slice, '10.100.9.0/24')
  })
})

t.test('a conflist under an older name is moved to the front, with what stands in it', async (t) => {
  const first = planInstall(fakeHost({}), undefined, { ...options, hostId: 3 })
  t.equal(first.network.path, CONFLIST)
  const { text } = first.network
  const config = { [options.config]: first.config.text }
  for (const old of ['/net.d/flatnet.conflist', '/net.d/50-flatnet.conflist', '/net.d/90-flatnet.conflist']) {
    const made = [{ path: old, kind: 'conflist' as const, sha256: sha256(text), text }]
    const host = fakeHost({
      files: { ...config, [old]: text, '/net.d/50-other.conflist': '{"name":"other"}' },
    })
    const file = { path: CONFLIST, from: old, replaced: [old], text, action: 'write', isOnlyMoved: true }
    t.match(planInstall(host, { version: '0.1.0', made }, options), {
      problems: [],
      slice: '10.100.3.0/24',
      network: { ...file, needsBackup: false, note: `moved from ${old}` },
    })
    t.match(planInstall(host, { version: '0.1.0', made }, { ...options, httpPort: 81 }), {
      problems: [],
      network: { path: CONFLIST, replaced: [old], isOnlyMoved: false, needsBackup: false },
    })
    t.match(planInstall(host, undefined, options), { problems: [], network: file }, 'also one by hand')
    const byHand = planInstall(host, undefined, { ...options, httpPort: 81 })
    t.match(byHand.problems, [/-?flatnet\.conflist was not written by install.*--force/])
    const gone = planInstall(fakeHost({ files: config }), { version: '0.1.0', made }, options)
    t.match(gone.network, { path: CONFLIST, text, replaced: [] }, 'pruned under its older name')
  }
})

t.test('what a move that was killed left is removed; a second network of the name is told', async (t) => {
  const text = conflistTemplate()
  const old = '/net.d/flatnet.conflist'
  const made = [{ path: old, kind: 'conflist' as const, sha256: sha256(text), text }]
  const config = { [options.config]: daemonTemplate() }
  const both = fakeHost({ files: { ...config, [old]: text, [CONFLIST]: text } })
  t.match(planInstall(both, { version: '0.1.0', made }, options), {
    problems: [],
    network: { action: 'keep', replaced: [old] },
  })
  const changed = fakeHost({ files: { ...config, [old]: text.replace('80', '81'), [CONFLIST]: text } })
  t.match(planInstall(changed, undefined, options).problems, [
    /flatnet\.conflist has a network flatnet already/,
  ])
})

t.test('the place is taken by a network of another name', async (t) => {
  const files = { [CONFLIST]: conflistTemplate().replace('"flatnet",', '"10-flatnet",') }
  t.match(planInstall(fakeHost({ files }), undefined, options).problems, [
    /^\/net\.d\/10-flatnet\.conflist has network 10-flatnet: rename the file, or choose --network/,
  ])
})

t.test('a flatnet.yaml that is no YAML is told with the place', async (t) => {
  const files = { [CONFLIST]: conflistTemplate(), [options.config]: 'hostId: [\n' }
  t.match(planInstall(fakeHost({ files }), undefined, options).problems, [
    /^\/etc\/flatnet\/flatnet\.yaml: not YAML: .* line 2/,
  ])
})

t.test('plugins chained to ours stay', async (t) => {
  const list = JSON.parse(conflistTemplate())
  list.plugins.push({ type: 'bandwidth' })
  const host = fakeHost({ files: { [CONFLIST]: JSON.stringify(list) } })
  const plan = planInstall(host, undefined, { ...options, hostId: 2, isForced: true })
  t.match(JSON.parse(plan.network.text).plugins, [
    { type: 'flatnet', ipam: { hostId: 2 } },
    { type: 'bandwidth' },
  ])
})

t.test('all problems come at once', async (t) => {
  const { problems } = planInstall(fakeHost({}), undefined, {
    ...options,
    hostId: 300,
    httpPort: 0,
    bridge: 'a/b',
  })
  t.match(problems, [/bridge is "a\/b"/, /httpPort is 0/, /hostId is 300: must be 1 to 254/])
  t.match(planInstall(fakeHost({}), undefined, { ...options, network: '../x' }).problems, [/--network is/])
  t.match(planInstall(fakeHost({}), undefined, { ...options, listen: 'nonsense' }).problems, [
    /ingress\.listen/,
  ])
})

t.test('a second network must not share name, slice or bridge', async (t) => {
  const host = fakeHost({ files: { [CONFLIST]: conflistTemplate(), [options.config]: daemonTemplate() } })
  const clash = planInstall(host, undefined, { ...options, network: 'other' })
  t.match(clash.problems, [/gives out 10\.100\.1\.0\/24 too/, /has bridge flatnet0 already/])
  const apart = planInstall(host, undefined, {
    ...options,
    network: 'other',
    bridge: 'other0',
    supernet: '10.101.0.0/16',
  })
  t.same(apart.problems, [])
  t.match(apart.config, { action: 'keep', note: 'is for network flatnet' })
})

t.test('paths in the unit are escaped', async (t) => {
  t.match(
    unitText({ binDir: '/opt/a b', config: '/etc/50%.yaml' }),
    /^ExecStart="\/opt\/a b\/flatnet" gateway --config \/etc\/50%%\.yaml$/m,
  )
})

t.test('the unit of the direct paths runs its own command', async (t) => {
  t.match(
    unitText({ binDir: '/opt', config: '/etc/f.yaml' }, 'flatnet-p2p.service'),
    /^ExecStart=\/opt\/flatnet p2p --config \/etc\/f\.yaml$/m,
  )
  const { units } = planInstall(fakeHost({}), undefined, options)
  t.same(
    units.map(({ path }) => path),
    UNITS.map((unit) => `${options.systemdDir}/${unit}`),
  )
  t.same(planInstall(fakeHost({}), undefined, { ...options, hasService: false }).units, [])
})

t.test('the record of what was made', async (t) => {
  const path = manifestPath(options.config)
  const read = (text: string) =>
    readManifest(fakeHost({ files: { [path]: text, '/x': 'mine' } }), options.config)
  t.equal(readManifest(fakeHost({}), options.config), undefined)
  t.throws(() => read('{'), { message: /is not JSON/ })
  const manifest = read(
    JSON.stringify({ version: '1', made: [{ path: '/x', kind: 'config', sha256: sha256('mine') }, 7] }),
  )
  t.equal(manifest?.made.length, 1)
  const host = fakeHost({ files: { '/x': 'mine', '/y': 'theirs' } })
  t.same(
    ['/x', '/y', '/z'].map((p) => stateOf(host, manifest, p)),
    ['ours', 'changed', 'absent'],
  )
})

t.test('differences are named by their path', async (t) => {
  t.same(differences({ a: 1, b: [{ c: 2 }] }, { a: 1, b: [{ c: 3 }] }), ['b[0].c: 2 -> 3'])
  t.same(differences({}, { a: 1 }), ['a: absent -> 1'])
})

t.test('containers.conf is read as Podman reads it', async (t) => {
  const conf =
    '[containers]\nlog_driver = "journald"\n# [network]\n[network]\n# network_backend = "x"\nnetwork_backend = "netavark"\ncni_plugin_dirs = [\n  "/a",\n  "/b",\n]\n[engine]\nnetwork_backend = "no"\n'
  const files = {
    '/c/containers.conf': conf,
    '/c/containers.conf.d/50-flatnet.conf': '[network]\nnetwork_backend = "cni"\n',
  }
  t.same(pluginDirs(fakeHost({ files }), 'cni', '/c'), ['/a', '/b'])
  t.equal(configuredBackend(fakeHost({ files }), '/c'), 'cni', 'drop-ins win')
  t.equal(configuredBackend(fakeHost({}), '/c'), undefined)
  t.equal(pluginDirs(fakeHost({}), 'cni', '/c').at(-1), '/opt/cni/bin')
})
