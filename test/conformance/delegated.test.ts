/**
 * `ipam: {type: flatnet}` under Debian's bridge, macvlan and ptp: addresses of the host's slice for other people's
 * wiring.
 */
import t from 'tap'
import { type CniHost, cniHost, debianPluginsMissing, needsRoot } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import { executables } from '../helpers/run/executable.ts'

const MAINS = [
  { type: 'bridge', conf: { bridge: 'deb0', isGateway: true }, before: ':' },
  {
    type: 'macvlan',
    conf: { master: 'uplink0' },
    before: 'ip link add uplink0 type veth peer name uplink1; ip link set uplink0 up; ip link set uplink1 up',
  },
  { type: 'ptp', conf: {}, before: ':' },
]

/** Runs a Debian plugin with our plugin as its IPAM. */
async function debian(host: CniHost, verb: string, id: string, conf: Record<string, unknown>) {
  const settings = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: id,
    CNI_NETNS: `/run/netns/${id}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: `${host.binDir}:/usr/lib/cni`,
  }
  const env = Object.entries(settings).map(([key, value]) => `${key}=${value}`)
  const ran = await host.m.run(['env', ...env, `/usr/lib/cni/${conf['type']}`], {
    input: JSON.stringify(conf),
  })
  return { ...ran, json: ran.stdout.trim() ? JSON.parse(ran.stdout) : undefined }
}

for (const executable of executables()) {
  for (const main of MAINS) {
    const skip = needsRoot || debianPluginsMissing(main.type)
    t.test(`${executable.name} as IPAM of ${main.type}`, { skip }, async (t) => {
      const host = await cniHost(t, executable, '1.0.0')
      await host.m.sh(main.before)
      for (const id of ['c1', 'c2']) await host.container(id)
      const routes = [{ dst: '0.0.0.0/0' }]
      const conf = {
        cniVersion: '1.0.0',
        name: 'delegated',
        ...main.conf,
        type: main.type,
        ipam: { type: 'flatnet', hostId: 3, supernet: '10.100.0.0/16', dataDir: host.dataDir, routes },
      }
      const results = [await debian(host, 'ADD', 'c1', conf), await debian(host, 'ADD', 'c2', conf)]
      for (const [i, { rc, json, stdout }] of results.entries()) {
        t.equal(rc, 0, stdout)
        t.match(json?.ips, [{ address: `10.100.3.${10 + i}/24`, gateway: '10.100.3.1' }])
        const [eth0] = await host.m.json('ip', '-n', `c${i + 1}`, '-j', 'addr', 'show', 'eth0')
        t.match(eth0.addr_info, [{ local: `10.100.3.${10 + i}`, prefixlen: 24 }])
      }
      t.match(host.leases('delegated'), [{ containerId: 'c1' }, { containerId: 'c2' }])
      t.equal((await host.m.run(['ip', 'link', 'show', 'flatnet0'])).rc, 1, 'we wired nothing')
      t.equal((await host.m.run(['nft', 'list', 'table', 'inet', 'flatnet'])).rc, 1, 'and loaded no ruleset')
      if (main.type !== 'ptp') {
        const ping = await host.m.run([
          'ip',
          'netns',
          'exec',
          'c1',
          'busybox',
          'ping',
          '-c1',
          '-W2',
          '10.100.3.11',
        ])
        t.equal(ping.rc, 0, 'the two reach each other')
      }
      const checked = await debian(host, 'CHECK', 'c1', { ...conf, prevResult: results[0]?.json })
      t.equal(checked.rc, 0, checked.stdout)

      t.test('DEL releases, repeatedly', async (t) => {
        for (const id of ['c1', 'c1', 'c2']) {
          const { rc, stdout } = await debian(host, 'DEL', id, conf)
          t.equal(rc, 0, stdout)
        }
        t.strictSame(await host.leftovers(), [])
        const checked = await debian(host, 'CHECK', 'c1', { ...conf, prevResult: results[0]?.json })
        t.equal(checked.rc, 1, 'CHECK misses the lease')
      })
    })
  }

  t.test(`${executable.name} as IPAM, called directly`, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable, '1.1.0')
    await host.container('c1')
    const conf = {
      type: 'macvlan',
      dataDir: undefined,
      registrar: undefined,
      ipam: { type: 'flatnet', hostId: 3, dataDir: host.dataDir },
    }
    t.test('ADD gives an address and no interface', async (t) => {
      const added = await host.call('ADD', { conf })
      t.equal(added.rc, 0, added.stdout)
      t.match(added.json.ips, [{ address: '10.100.3.10/24' }])
      t.same(added.json.interfaces ?? [], [])
      t.notOk('interface' in added.json.ips[0])
    })
    t.test('CHECK, STATUS and GC', async (t) => {
      t.equal(
        (
          await host.call('CHECK', {
            conf: { ...conf, prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.100.3.10/24' }] } },
          })
        ).rc,
        0,
      )
      t.equal((await host.call('STATUS', { conf })).rc, 0)
      await host.ok('GC', {
        conf: { ...conf, 'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }] },
      })
      t.equal(host.leases().length, 1)
      await host.ok('GC', { conf: { ...conf, 'cni.dev/valid-attachments': [] } })
      t.strictSame(host.leases(), [])
    })
    t.test('a taken address', async (t) => {
      await host.ok('ADD', { conf, args: 'IP=10.100.3.50' })
      await host.container('c2')
      const reply = await host.call('ADD', { conf, containerId: 'c2', args: 'IP=10.100.3.50' })
      t.strictSame(errorProblems(reply.json, 101), [])
      await host.ok('DEL', { conf })
      t.strictSame(await host.leftovers(), [])
    })
  })
}
