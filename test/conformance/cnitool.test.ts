/** The plugin under real libcni: cnitool adds, checks, deletes, collects and asks for the status through a conflist. */
import t from 'tap'
import { cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { resultProblems } from '../helpers/cni/cni-result.ts'
import { cnitool, cnitoolMissing, runTool, writeList } from '../helpers/cni/cnitool.ts'
import { executables } from '../helpers/run/executable.ts'

const CAPABILITIES = { portMappings: true, ips: true, mac: true, aliases: true }
const tool = cnitool()
const version = tool?.hasGc === false ? '1.0.0' : '1.1.0'
if (version === '1.0.0')
  t.comment('note: cnitool 1.1.2 knows no gc and no status; they were driven without it')

for (const executable of executables()) {
  t.test(`${executable.name}, CNI ${version}`, { skip: needsRoot || cnitoolMissing() }, async (t) => {
    const host = await cniHost(t, executable, version)
    for (const id of ['c1', 'c2']) await host.container(id)
    const { cniVersion: _, name: __, ...entry } = host.conf()
    writeList(host, 'flatnet', [{ ...entry, capabilities: CAPABILITIES }])

    t.test('add', async (t) => {
      const capabilities = {
        portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
        ips: ['10.100.1.55'],
        mac: '02:00:00:00:00:55',
        aliases: ['shop'],
      }
      const { rc, json, stderr } = await runTool(host, 'add', 'flatnet', { capabilities })
      t.equal(rc, 0, stderr)
      t.strictSame(resultProblems(json, version), [])
      t.match(json.ips, [{ address: '10.100.1.55/24' }])
      t.match(host.leases(), [{ ip: '10.100.1.55', mac: '02:00:00:00:00:55', aliases: ['shop'] }])
      t.ok(
        (await host.leftovers()).some((line) => line.includes('8080')),
        'the port is published',
      )
    })
    t.test('check', async (t) => {
      const { rc, stderr, stdout } = await runTool(host, 'check', 'flatnet')
      t.equal(rc, 0, stderr + stdout)
      await host.m.sh('ip -n c1 route del default')
      const broken = await runTool(host, 'check', 'flatnet')
      t.equal(broken.rc, 1)
      await host.m.sh('ip -n c1 route add default via 10.100.1.1')
    })
    t.test('status', async (t) => {
      if (!tool?.hasGc) return
      const { rc, stderr } = await runTool(host, 'status', 'flatnet')
      t.equal(rc, 0, stderr)
    })
    t.test('del', async (t) => {
      for (const _ of [1, 2]) {
        const { rc, stderr } = await runTool(host, 'del', 'flatnet')
        t.equal(rc, 0, stderr)
        t.strictSame(await host.leftovers(), [])
      }
    })
    t.test('gc', async (t) => {
      if (!tool?.hasGc) return
      for (const id of ['c1', 'c2']) t.equal((await runTool(host, 'add', 'flatnet', { id })).rc, 0)
      const { rc, stderr } = await runTool(host, 'gc', 'flatnet')
      t.equal(rc, 0, stderr)
      t.strictSame(
        await host.leftovers(),
        [],
        'cnitool gives no list: libcni deletes every attachment it has cached',
      )
    })
    t.test('the error reaches the person', async (t) => {
      const { rc, stderr, stdout } = await runTool(host, 'add', 'flatnet', {
        args: 'IgnoreUnknown=1;IP=10.100.9.9',
      })
      t.equal(rc, 1)
      t.match(stderr + stdout, '10.100.9.9')
      t.strictSame(await host.leftovers(), [])
    })
  })
}
