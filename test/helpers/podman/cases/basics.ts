/** What a person sees first: a container on the network, its address, its neighbours and the world. */
import type { Test } from 'tap'
import { IMAGE } from '../../cni/image.ts'
import { netnsProgram } from '../../kernel/netns-programs.ts'
import { waitFor } from '../../run/wait.ts'
import { get, podmanHost } from '../host.ts'
import type { Target } from '../run.ts'

export async function basics(t: Test, { runtime, executable }: Target): Promise<void> {
  const host = await podmanHost(t, executable, { runtime })

  t.test('podman network ls and inspect show it', async (t) => {
    t.match(await host.pod('network', 'ls'), /flatnet\s+\S+\s+flatnet|flatnet/)
    t.match(JSON.parse(await host.pod('network', 'inspect', 'flatnet')), [
      { name: 'flatnet', driver: 'flatnet' },
    ])
  })

  t.test('run --rm', async (t) => {
    const ran = await host.podman('run', '--rm', '--network', 'flatnet', IMAGE, 'ip', '-o', 'addr')
    t.equal(ran.rc, 0, ran.stderr)
    t.equal(ran.stderr, '', 'without a word of warning')
    t.match(ran.stdout, 'inet 10.100.1.10/24')
    t.match(ran.stdout, 'inet 127.0.0.1/8')
    await waitFor('Podman has cleaned up', 10_000, async () => (await host.leftovers()).length === 0)
  })

  t.test('two containers', async (t) => {
    await host.web('one', '--cap-add', 'NET_RAW')
    await host.web('two')
    const { NetworkSettings: settings } = await host.inspect('one')
    const network = settings.Networks['flatnet']
    t.match(network?.IPAddress, /^10\.100\.1\.\d+$/)
    t.match(network, { IPPrefixLen: 24, Gateway: '10.100.1.1' })
    t.match(network?.MacAddress, /^0a:64:0a:64:01:/)
    t.match((await host.within('one', 'ip', 'route')).stdout, 'default via 10.100.1.1 dev eth0')
    const two = await host.address('two')
    t.not(two, network?.IPAddress)
    t.equal((await host.within('one', 'ping', '-c', '1', '-W', '2', two)).rc, 0, 'they reach each other')
    const page = await host.within('one', 'wget', '-q', '-O', '-', `http://${two}/`)
    t.equal(page.stdout, 'flatnet test page\n')
    const own = await host.within('one', 'wget', '-q', '-O', '-', `http://${network?.IPAddress}/`)
    t.equal(own.stdout, 'flatnet test page\n', 'and themselves')
    t.equal((await get(host.m, `http://${two}/`)).status, 200, 'the host reaches them')
    t.match(
      (await host.within('one', 'cat', '/etc/hosts')).stdout,
      network?.IPAddress ?? '',
      'Podman knows the address',
    )
  })

  t.test('the world', async (t) => {
    const lan = await host.m.neighbour()
    const server = await host.m.start(['ip', 'netns', 'exec', lan.name, ...netnsProgram('serve', '80')])
    await waitFor('the server on the LAN listens', 10_000, () => server.log().includes('listening'))
    const seen = await host.within('one', 'wget', '-q', '-O', '-', `http://${lan.ip}/`)
    t.equal(JSON.parse(seen.stdout || '{}').from, lan.machineIp, 'sees the host (masquerade)')
    await host.m.sh(`ip -n ${lan.name} route add 10.100.0.0/16 via ${lan.machineIp}`)
    const page = await get(lan, `http://${await host.address('two')}/`)
    t.equal(page.status, 200, 'a LAN with a route reaches containers directly')
  })

  t.test('the kernel is set as it has to be', async (t) => {
    const read = async (name: string) => (await host.m.exec('cat', `/proc/sys/net/${name}`)).trim()
    t.equal(await read('ipv4/ip_forward'), '1')
    t.equal(await read('ipv4/conf/flatnet0/rp_filter'), '2')
    const [bridge] = await host.m.json('ip', '-j', '-d', 'link', 'show', 'flatnet0')
    t.equal(bridge.mtu, 1500)
    const ports = await host.m.json('ip', '-j', '-d', 'link', 'show', 'master', 'flatnet0')
    t.equal(ports.length, 2)
    for (const port of ports) {
      t.match(port.ifname, /^fn[0-9a-f]{10}$/)
      t.match(port.ifalias, /^flatnet flatnet [0-9a-f]{64} eth0 10\.100\.1\.\d+\/24$/)
      t.equal(port.linkinfo.info_slave_data.hairpin, true)
    }
  })

  t.test('podman rm -f takes everything away', async (t) => {
    t.strictSame(await host.removeAll(), [])
  })
}
