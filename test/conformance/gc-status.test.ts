/**
 * GC releases what no valid attachment names, of its own network only; STATUS says beforehand whether ADD could work.
 */
import t from 'tap'
import { cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import { executables } from '../helpers/run/executable.ts'

/** Slice 10.100.0.8/29 with two addresses for containers, .13 and .14; .15 is the broadcast. */
const TINY = {
  ipam: { type: 'flatnet', hostId: 1, supernet: '10.100.0.0/24', hostPrefix: 29, firstOffset: 5 },
}

for (const executable of executables()) {
  t.test(`${executable.name}: GC`, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    const ids = async (network = 'flatnet') =>
      host
        .leases(network)
        .map(({ containerId, ifname }) => `${containerId} ${ifname}`)
        .sort()
    for (const id of ['c1', 'c2', 'c3']) {
      await host.container(id)
      await host.ok('ADD', {
        containerId: id,
        conf: {
          runtimeConfig: {
            portMappings: [{ hostPort: 8000 + Number(id[1]), containerPort: 80, protocol: 'tcp' }],
          },
        },
      })
    }
    await host.ok('ADD', { containerId: 'c1', ifname: 'eth1' })
    const other = {
      name: 'other',
      bridge: 'flatnet1',
      ipam: { type: 'flatnet', hostId: 2, supernet: '10.100.0.0/16' },
    }
    await host.container('o1')
    await host.ok('ADD', { containerId: 'o1', conf: other })

    t.test('an absent list drops nothing', async (t) => {
      await host.ok('GC')
      t.equal((await ids()).length, 4)
    })
    t.test('keeps what is listed, by container and interface', async (t) => {
      const valid = [
        { containerID: 'c1', ifname: 'eth0' },
        { containerID: 'c2', ifname: 'eth0' },
      ]
      await host.ok('GC', { conf: { 'cni.dev/valid-attachments': valid } })
      t.strictSame(await ids(), ['c1 eth0', 'c2 eth0'])
      t.equal((await host.m.run(['ip', '-n', 'c3', 'link', 'show', 'eth0'])).rc, 1, "c3's link is gone")
      t.equal(
        (await host.m.run(['ip', '-n', 'c1', 'link', 'show', 'eth1'])).rc,
        1,
        "c1's second link is gone",
      )
      t.equal((await host.m.run(['ip', '-n', 'c1', 'link', 'show', 'eth0'])).rc, 0, "c1's first one is not")
      const left = await host.leftovers()
      t.equal(left.filter((line) => line.includes('8003')).length, 0, "c3's port is not published")
      t.equal(left.filter((line) => line.includes('8001')).length, 1, "c1's is")
    })
    t.test("libcni's older name of the key", async (t) => {
      await host.ok('GC', { conf: { 'cni.dev/attachments': [{ containerID: 'c1', ifname: 'eth0' }] } })
      t.strictSame(await ids(), ['c1 eth0'])
    })
    t.test('keys in any case, as Go reads them', async (t) => {
      await host.ok('GC', { conf: { 'cni.dev/valid-attachments': [{ ContainerID: 'c1', IfName: 'eth0' }] } })
      t.strictSame(await ids(), ['c1 eth0'])
    })
    t.test('an empty list drops all, a second time too', async (t) => {
      for (const _ of [1, 2]) {
        const reply = await host.call('GC', { conf: { 'cni.dev/valid-attachments': [] } })
        t.equal(reply.rc, 0, reply.stdout)
        t.equal(reply.stdout, '')
        t.strictSame(await ids(), [])
      }
    })
    t.test('the other network was not touched', async (t) => {
      t.strictSame(await ids('other'), ['o1 eth0'])
      const reply = await host.m.run([
        'ip',
        'netns',
        'exec',
        'o1',
        'busybox',
        'ping',
        '-c1',
        '-W2',
        '10.100.2.1',
      ])
      t.equal(reply.rc, 0)
    })
    t.test('a list of the wrong shape changes nothing', async (t) => {
      const reply = await host.call('GC', { conf: { ...other, 'cni.dev/valid-attachments': 'all' } })
      t.equal(reply.rc, 1)
      t.strictSame(errorProblems(reply.json, 7), [])
      t.strictSame(await ids('other'), ['o1 eth0'])
    })
  })

  t.test(`${executable.name}: STATUS`, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    const status = (conf = {}) => host.call('STATUS', { conf: { ...TINY, ...conf } })

    t.test('before anything exists: ready', async (t) => {
      const reply = await status()
      t.equal(reply.rc, 0, reply.stdout)
      t.equal(reply.stdout, '')
      t.equal((await host.m.run(['ip', 'link', 'show', 'flatnet0'])).rc, 1, 'and nothing was made')
    })
    t.test('no address left: code 50 with the counts; ADD says 100', async (t) => {
      for (const id of ['c1', 'c2']) {
        await host.container(id)
        await host.ok('ADD', { containerId: id, conf: TINY })
      }
      const reply = await status()
      t.equal(reply.rc, 1)
      t.strictSame(errorProblems(reply.json, 50), [])
      t.match(`${reply.json.msg} ${reply.json.details}`, /\b2\b/)
      await host.container('c3')
      const refused = await host.call('ADD', { containerId: 'c3', conf: TINY })
      t.strictSame(errorProblems(refused.json, 100), [])
      t.match(`${refused.json.msg} ${refused.json.details}`, /used|stale|rest/i)
    })
    t.test('a released address is soon enough free again', async (t) => {
      await host.ok('DEL', { containerId: 'c1', conf: TINY })
      t.equal((await status()).rc, 0)
      const again = await host.ok('ADD', { containerId: 'c3', conf: TINY })
      t.match(
        again.ips[0].address,
        /^10\.100\.0\.13\/29$|^10\.100\.0\.14\/29$/,
        'resting, but nothing else is free',
      )
    })
    t.test('the bridge name belongs to something else: code 50', async (t) => {
      await host.m.sh('ip link add flatnet9 type veth')
      const ipam = { ...TINY.ipam, hostId: 2 }
      const reply = await status({ bridge: 'flatnet9', name: 'elsewhere', ipam })
      t.equal(reply.rc, 1)
      t.strictSame(errorProblems(reply.json, 50), [])
      t.match(`${reply.json.msg} ${reply.json.details}`, 'flatnet9')
    })
    t.test('the store cannot be used: code 50', async (t) => {
      await host.m.sh(`touch ${host.m.dir}/file`)
      const reply = await status({ dataDir: `${host.m.dir}/file` })
      t.equal(reply.rc, 1)
      t.strictSame(errorProblems(reply.json, 50), [])
    })
  })
}
