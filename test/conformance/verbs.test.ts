/** The life of an attachment in every version of the specification: ADD, CHECK, DEL, and the verbs a version lacks. */
import t from 'tap'
import { cniHost, hasCheck, hasGc, needsRoot, VERSIONS } from '../helpers/cni/cni.ts'
import { errorProblems, resultProblems } from '../helpers/cni/cni-result.ts'
import { executables } from '../helpers/run/executable.ts'

t.jobs = 2
for (const executable of executables()) {
  for (const version of VERSIONS) {
    t.test(`${executable.name}, ${version}`, { skip: needsRoot }, async (t) => {
      const host = await cniHost(t, executable, version)
      const sandbox = await host.container('c1')
      const added = await host.call('ADD')
      t.equal(added.rc, 0, `ADD succeeds: ${added.stdout}${added.stderr}`)
      t.strictSame(resultProblems(added.json, version), [], 'the result has the shape of the version')
      const result = added.json

      t.test('the result says what stands in the kernel', async (t) => {
        const [eth0] = await host.m.json('ip', '-n', 'c1', '-j', 'addr', 'show', 'eth0')
        const inner = result.interfaces.find((link: { name: string }) => link.name === 'eth0')
        t.equal(inner.mac, eth0.address, 'its MAC')
        t.equal(inner.sandbox, sandbox, 'the sandbox is CNI_NETNS as given')
        t.equal(result.ips[0].address, '10.100.1.10/24', 'the first address of the slice that containers get')
        t.match(eth0.addr_info, [{ local: '10.100.1.10', prefixlen: 24 }])
        t.equal(
          result.interfaces[result.ips[0].interface].name,
          'eth0',
          'the address points to its interface',
        )
        t.equal(result.ips[0].gateway, '10.100.1.1')
        t.same(
          result.routes?.map((route: { dst: string }) => route.dst),
          ['0.0.0.0/0'],
        )
        const [route] = await host.m.json('ip', '-n', 'c1', '-j', 'route', 'show', 'default')
        t.match(route, { gateway: '10.100.1.1', dev: 'eth0' })
        const [lo] = await host.m.json('ip', '-n', 'c1', '-j', 'link', 'show', 'lo')
        t.ok(lo.flags.includes('UP'), 'lo is up')
        const outer = result.interfaces.filter((link: { sandbox?: string }) => link.sandbox === undefined)
        t.equal(outer[0].name, 'flatnet0', 'the bridge is listed')
        t.match(outer[1].name, /^fn[0-9a-f]{10}$/, 'the host end is listed')
        const [bridge] = await host.m.json('ip', '-j', 'addr', 'show', 'flatnet0')
        t.match(bridge, { address: outer[0].mac, addr_info: [{ local: '10.100.1.1', prefixlen: 24 }] })
        t.equal(
          (await host.m.run(['ip', 'netns', 'exec', 'c1', 'busybox', 'ping', '-c1', '-W2', '10.100.1.1'])).rc,
          0,
        )
        t.match(host.leases(), [{ ip: '10.100.1.10', containerId: 'c1', ifname: 'eth0', state: 'active' }])
      })

      t.test('CHECK', async (t) => {
        const checked = await host.call('CHECK', { conf: { prevResult: result } })
        if (hasCheck(version)) {
          t.equal(checked.rc, 0, `passes right after ADD: ${checked.stdout}`)
          t.equal(checked.stdout, '', 'and prints nothing')
          const bare = await host.call('CHECK')
          t.equal(bare.rc, 1, 'without prevResult it is refused')
          t.match(bare.json.msg + bare.json.details, /prevResult/)
        } else {
          t.equal(checked.rc, 1)
          t.strictSame(errorProblems(checked.json, 1, version), [], 'is refused before 0.4.0')
        }
      })

      for (const verb of ['GC', 'STATUS'] as const) {
        t.test(verb, async (t) => {
          const conf = { 'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }] }
          const done = await host.call(verb, { conf: verb === 'GC' ? conf : {} })
          if (hasGc(version)) {
            t.equal(done.rc, 0, done.stdout)
            t.equal(done.stdout, '', 'prints nothing')
          } else {
            t.equal(done.rc, 1)
            t.strictSame(errorProblems(done.json, 1, version), [], 'is refused before 1.1.0')
          }
          t.equal(host.leases().length, 1, 'the lease stands')
        })
      }

      t.test('DEL, as often as one likes', async (t) => {
        for (const call of [
          { conf: { prevResult: result } },
          {},
          { netns: '' },
          { netns: '/run/netns/gone' },
        ]) {
          const done = await host.call('DEL', call)
          t.equal(done.rc, 0, done.stdout)
          t.equal(done.stdout, '', 'prints nothing')
          t.strictSame(await host.leftovers(), [])
        }
        t.equal((await host.m.run(['ip', '-n', 'c1', 'link', 'show', 'eth0'])).rc, 1, 'eth0 is gone')
        const stranger = await host.call('DEL', { containerId: 'never-seen' })
        t.equal(stranger.rc, 0, 'an unknown container is no error')
      })
    })
  }
}
