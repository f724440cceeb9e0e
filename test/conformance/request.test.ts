/** What a runtime may ask for: CNI_ARGS, args.cni and runtimeConfig, which of them wins, and what is refused. */
import t, { type Test } from 'tap'
import { cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import { executables } from '../helpers/run/executable.ts'

for (const executable of executables()) {
  t.test(executable.name, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    await host.container('c1')

    /** Adds, looks, deletes. */
    async function granted(args: string | undefined, conf: Record<string, unknown>) {
      const result = await host.ok('ADD', { ...(args !== undefined && { args }), conf })
      const [lease] = host.leases()
      const [link] = await host.m.json('ip', '-n', 'c1', '-j', 'link', 'show', 'eth0')
      await host.ok('DEL', { conf })
      return { address: result.ips[0].address, mac: link.address, lease }
    }
    async function refused(
      t: Pick<Test, 'strictSame'>,
      code: number,
      args: string | undefined,
      conf: Record<string, unknown>,
    ) {
      const reply = await host.call('ADD', { ...(args !== undefined && { args }), conf })
      t.strictSame(errorProblems(reply.json, code), [])
      t.strictSame(await host.leftovers(), [])
      return `${reply.json?.msg} ${reply.json?.details}`
    }

    t.test('IP and MAC in CNI_ARGS', async (t) => {
      const seen = await granted('IP=10.100.1.77;MAC=02:00:00:00:00:07', {})
      t.match(seen, { address: '10.100.1.77/24', mac: '02:00:00:00:00:07' })
    })
    t.test('IP with a prefix length', async (t) => {
      t.match(await granted('IP=10.100.1.78/24', {}), { address: '10.100.1.78/24' })
    })
    t.test('a dotted MAC, and args that are null', async (t) => {
      const seen = await granted('IP=10.100.1.79;MAC=0200.0000.0079', { args: null })
      t.match(seen, { address: '10.100.1.79/24', mac: '02:00:00:00:00:79' })
    })
    t.test('args.cni beats CNI_ARGS', async (t) => {
      const args = { cni: { ips: ['10.100.1.81'], mac: '02:00:00:00:00:81' } }
      const seen = await granted('IP=10.100.1.80;MAC=02:00:00:00:00:80', { args })
      t.match(seen, { address: '10.100.1.81/24', mac: '02:00:00:00:00:81' })
    })
    t.test('runtimeConfig beats both', async (t) => {
      const args = { cni: { ips: ['10.100.1.81'], mac: '02:00:00:00:00:81' } }
      const runtimeConfig = { ips: ['10.100.1.82/24'], mac: '02:00:00:00:00:82' }
      const seen = await granted('IP=10.100.1.80;MAC=02:00:00:00:00:80', { args, runtimeConfig })
      t.match(seen, { address: '10.100.1.82/24', mac: '02:00:00:00:00:82' })
    })
    t.test('the same address twice, as Podman sends it on reload', async (t) => {
      const seen = await granted(undefined, { runtimeConfig: { ips: ['10.100.1.83', '10.100.1.83'] } })
      t.equal(seen.address, '10.100.1.83/24')
    })
    t.test('without a wish the MAC is made of the address', async (t) => {
      const { address, mac } = await granted(undefined, {})
      const bytes = address
        .split('/')[0]
        .split('.')
        .map((byte: string) => Number(byte).toString(16).padStart(2, '0'))
      t.equal(mac, `0a:64:${bytes.join(':')}`)
    })
    t.test('name and aliases, as a list and in the form Podman sends', async (t) => {
      const list = await granted('K8S_POD_NAME=web', { runtimeConfig: { aliases: ['www', 'shop'] } })
      t.match(list.lease, { name: 'web', aliases: ['www', 'shop'] })
      const byNetwork = { flatnet: ['www'], elsewhere: ['not-ours'] }
      const podman = await granted('IgnoreUnknown=1;K8S_POD_NAME=web', {
        runtimeConfig: { aliases: byNetwork },
      })
      t.strictSame(podman.lease?.aliases, ['www'])
    })
    t.test('the port that ingress talks to', async (t) => {
      t.match((await granted('FLATNET_PORT=3000', {})).lease, { httpPort: 3000 })
    })

    t.test("keys in any case: containerd's CRI sends its structs as they are", async (t) => {
      const portMappings = [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }]
      const seen = await granted(undefined, { runtimeConfig: { portMappings, IPs: ['10.100.1.84'] } })
      t.match(seen.lease, {
        ip: '10.100.1.84',
        ports: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', hostIP: '' }],
      })
    })

    t.test('unknown keys of CNI_ARGS', async (t) => {
      t.match(await refused(t, 4, 'COLOUR=red', {}), 'COLOUR')
      t.match(await refused(t, 4, 'IgnoreUnknown=0;COLOUR=red', {}), 'COLOUR')
      for (const yes of ['1', 'true', 'True']) await granted(`IgnoreUnknown=${yes};COLOUR=red`, {})
      await refused(t, 4, 'IgnoreUnknown=perhaps', {})
      t.match(await refused(t, 4, 'ip=10.100.1.9', {}), 'ip', 'keys are case-sensitive')
    })
    t.test('pairs that are none', async (t) => {
      for (const args of ['IP', 'IP=1=2', ';;', 'IP=10.100.1.20;broken']) await refused(t, 4, args, {})
    })
    t.test('addresses that cannot be had', async (t) => {
      t.match(await refused(t, 7, 'IP=300.1.1.1', {}), '300.1.1.1')
      t.match(await refused(t, 101, 'IP=10.100.2.10', {}), '10.100.2.10', 'in the slice of another host')
      t.match(await refused(t, 101, 'IP=192.168.1.1', {}), '192.168.1.1', 'outside the supernet')
      for (const ip of ['10.100.1.0', '10.100.1.1', '10.100.1.255']) await refused(t, 101, `IP=${ip}`, {})
    })
    t.test('two addresses for one interface', async (t) => {
      await refused(t, 7, undefined, { runtimeConfig: { ips: ['10.100.1.20', '10.100.1.21'] } })
    })
    t.test('MACs that cannot be', async (t) => {
      for (const mac of ['nonsense', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01'])
        await refused(t, 7, `MAC=${mac}`, {})
    })
    t.test('port mappings that cannot be', async (t) => {
      const ports = (mapping: Record<string, unknown>) => ({ runtimeConfig: { portMappings: [mapping] } })
      t.match(
        await refused(t, 7, undefined, ports({ hostPort: 0, containerPort: 80, protocol: 'tcp' })),
        'hostPort',
      )
      t.match(
        await refused(t, 7, undefined, ports({ hostPort: 80, containerPort: 70000, protocol: 'tcp' })),
        '70000',
      )
      t.match(
        await refused(t, 7, undefined, ports({ hostPort: 80, containerPort: 80, protocol: 'icmp' })),
        'icmp',
      )
      t.match(
        await refused(
          t,
          7,
          undefined,
          ports({ hostPort: 80, containerPort: 80, protocol: 'tcp', hostIP: 'x' }),
        ),
        'hostIP',
      )
      for (const hostIP of ['127.0.0.1:80', 'a:b', ':::1'])
        t.match(
          await refused(t, 7, undefined, ports({ hostPort: 80, containerPort: 80, hostIP })),
          `hostIP is "${hostIP}"`,
        )
    })

    t.test('a taken address names its holder', async (t) => {
      await host.ok('ADD', { args: 'IP=10.100.1.90' })
      await host.container('c2')
      const reply = await host.call('ADD', { containerId: 'c2', args: 'IP=10.100.1.90' })
      t.strictSame(errorProblems(reply.json, 101), [])
      t.match(`${reply.json.msg} ${reply.json.details}`, /c1.*eth0|eth0.*c1/)
      await host.ok('DEL', { containerId: 'c2' })
      t.equal(
        (await host.m.run(['ip', 'netns', 'exec', 'c1', 'busybox', 'ping', '-c1', '-W2', '10.100.1.1'])).rc,
        0,
        'c1 lives on',
      )
    })
    t.test('ADD twice: the live attachment is refused and stays (code 102)', async (t) => {
      const reply = await host.call('ADD')
      t.equal(reply.rc, 1)
      t.strictSame(errorProblems(reply.json, 102), [])
      t.match(host.leases(), [{ ip: '10.100.1.90', containerId: 'c1' }])
      await host.ok('DEL')
    })
    t.test('the address just released is not the next one given', async (t) => {
      const first = await granted(undefined, {})
      t.not((await granted(undefined, {})).address, first.address)
    })
  })
}
