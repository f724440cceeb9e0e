/** What a person may ask for: address, MAC, names, several networks, a pod. */
import type { Test } from 'tap'
import { IMAGE } from '../../cni/image.ts'
import { get, podmanHost } from '../host.ts'
import type { Target } from '../run.ts'

const SECOND = {
  name: 'second',
  plugin: { bridge: 'flatnet1' },
  ipam: { hostId: 2 },
}

export async function identity(t: Test, { runtime, executable }: Target): Promise<void> {
  const host = await podmanHost(t, executable, { runtime, networks: [{}, SECOND] })
  await host.startGateway({ ingress: { listen: '127.0.0.1:8099' } })

  t.test('--ip', async (t) => {
    await host.web('fixed', '--ip', '10.100.1.200')
    t.equal(await host.address('fixed'), '10.100.1.200')
  })
  t.test('--ip that is taken: the error names the holder', async (t) => {
    const id = (await host.inspect('fixed')).Id
    const ran = await host.podman(
      'run',
      '-d',
      '--name',
      'late',
      '--network',
      'flatnet',
      '--ip',
      '10.100.1.200',
      IMAGE,
    )
    t.not(ran.rc, 0)
    t.match(ran.stderr, '10.100.1.200')
    t.match(ran.stderr, id.slice(0, 12), 'its holder')
    t.equal((await get(host.m, 'http://10.100.1.200/')).status, 200, 'who is not disturbed')
    await host.pod('rm', '-f', 'late')
  })
  t.test('--ip of another host', async (t) => {
    const ran = await host.podman('run', '--rm', '--network', 'flatnet', '--ip', '10.100.7.10', IMAGE)
    t.not(ran.rc, 0)
    t.match(ran.stderr, '10.100.1.0/24', 'says what this host has')
  })
  t.test('--mac-address', async (t) => {
    await host.web('mac', '--mac-address', '02:42:00:00:00:09')
    t.equal((await host.inspect('mac')).NetworkSettings.Networks['flatnet']?.MacAddress, '02:42:00:00:00:09')
    t.match((await host.within('mac', 'cat', '/sys/class/net/eth0/address')).stdout, '02:42:00:00:00:09')
  })
  t.test('--network-alias', async (t) => {
    await host.web('shop', '--network-alias', 'store', '--network-alias', 'market', '-p', '9005:80')
    const found = (await host.assignments()).find(({ name }) => name === 'shop')
    t.ok(
      ['store', 'market'].every((alias) => found?.aliases.includes(alias)),
      'the gateway knows them',
    )
    t.match(found, {
      network: 'flatnet',
      ifname: 'eth0',
      hostId: 1,
      ips: [`${await host.address('shop')}/24`],
      ports: [{ protocol: 'tcp', hostPort: 9005, containerPort: 80 }],
      httpPort: 80,
    })
  })
  t.test('the port for the gateway, per container', async (t) => {
    // Podman 5 has no CNI_ARGS; Podman 4 refuses options that it does not know.
    if (runtime.dialect === 'cni') host.m.env['CNI_ARGS'] = 'FLATNET_PORT=3000'
    await host.web('ported', '--network', runtime.dialect === 'cni' ? 'flatnet' : 'flatnet:port=3000')
    delete host.m.env['CNI_ARGS']
    const found = (await host.assignments()).find(({ name }) => name === 'ported')
    t.equal(found?.httpPort, 3000)
  })
  t.test('interface_name', async (t) => {
    await host.web('named', '--network', 'flatnet:interface_name=lan7')
    t.match(
      (await host.within('named', 'ip', '-4', 'addr', 'show', 'lan7')).stdout,
      await host.address('named'),
    )
    t.equal((await get(host.m, `http://${await host.address('named')}/`)).status, 200)
  })
  t.test('two networks', async (t) => {
    await host.web('both', '--network', 'flatnet', '--network', 'second', '-p', '9006:80')
    const first = await host.address('both', 'flatnet')
    const second = await host.address('both', 'second')
    t.match(first, /^10\.100\.1\./)
    t.match(second, /^10\.100\.2\./)
    for (const ip of [first, second]) t.equal((await get(host.m, `http://${ip}/`)).status, 200, ip)
    t.equal((await get(host.m, 'http://127.0.0.1:9006/')).status, 200, 'the port is published once')
    const routes = (await host.within('both', 'ip', 'route')).stdout
    t.match(routes, /default via/, 'there is a way out')
    await host.pod('rm', '-f', '-t', '0', 'both')
    t.strictSame(host.leases('second'), [])
  })
  t.test('a pod: one address for all of it', async (t) => {
    const infra = ['--infra-image', IMAGE, '--infra-command', '/bin/httpd -f -p 99']
    await host.pod('pod', 'create', '--name', 'pod1', '--network', 'flatnet', '-p', '9007:80', ...infra)
    await host.pod('run', '-d', '--pod', 'pod1', '--name', 'inpod', IMAGE)
    await host.pod('run', '-d', '--pod', 'pod1', '--name', 'inpod2', IMAGE, '/bin/sleep', '1000')
    const local = await host.within('inpod2', 'wget', '-q', '-O', '-', 'http://127.0.0.1/')
    t.equal(local.stdout, 'flatnet test page\n')
    t.equal((await get(host.m, 'http://127.0.0.1:9007/')).status, 200)
    t.ok(
      (await host.assignments()).some(({ name }) => name === 'pod1'),
      'the gateway knows it by the name of the pod',
    )
    await host.pod('pod', 'rm', '-f', '-t', '0', 'pod1')
  })
  t.test('podman rm -f takes everything away, in the gateway too', async (t) => {
    t.strictSame(await host.removeAll(), [])
    t.strictSame(await host.assignments(), [])
  })
}
