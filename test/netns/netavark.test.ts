/** The plugin as Podman 5's netavark calls it: what each verb answers, makes and takes away. */
import t from 'tap'
import { type NetavarkHost, netavarkHost } from '../helpers/cni/netavark.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const stateOf = async (host: NetavarkHost, id: string) => {
  const [link] = JSON.parse(await host.m.exec('ip', '-j', '-n', id, 'addr', 'show', 'eth0'))
  const routes = JSON.parse(await host.m.exec('ip', '-j', '-n', id, 'route'))
  return {
    mac: link.address,
    ips: link.addr_info
      .filter((a: { family: string }) => a.family === 'inet')
      .map((a: { local: string }) => a.local),
    gateway: routes.find((r: { dst: string }) => r.dst === 'default')?.gateway,
  }
}

for (const executable of executables())
  t.test(executable.name, { skip: needsRoot, timeout: 300_000 }, async (t) => {
    const host = await netavarkHost(t, executable)

    await t.test('info', async (t) => {
      const { rc, json } = await host.verb(['info'], '')
      t.match({ rc, json }, { rc: 0, json: { version: /^\d/, api_version: '1.0.0' } })
    })

    await t.test('create writes what only Flatnet knows, and keeps the rest', async (t) => {
      const { rc, json } = await host.create({ name: 'mine', labels: { a: 'b' } })
      t.match(
        { rc, json },
        {
          rc: 0,
          json: {
            name: 'mine',
            id: 'f'.repeat(64),
            driver: 'flatnet',
            network_interface: 'flatnet0',
            subnets: [{ subnet: '10.100.1.0/24', gateway: '10.100.1.1' }],
            ipam_options: { driver: 'flatnet' },
            labels: { a: 'b' },
          },
        },
      )
      t.equal((await host.create({ subnets: json.subnets })).rc, 0, 'its own answer')
    })

    for (const [what, over, words] of [
      ['IPv6', { ipv6_enabled: true }, /ipv6_enabled is true.*leave --ipv6 out/],
      ['internal', { internal: true }, /internal is true.*ipMasq=false/],
      ['routes', { routes: [{ destination: '10.0.0.0/8', gateway: '10.100.1.9' }] }, /routes.*ipam\.routes/],
      ['another subnet', { subnets: [{ subnet: '10.89.0.0/24' }] }, /10\.89\.0\.0\/24.*10\.100\.1\.0\/24/],
      ['no hostId', { options: {} }, /ipam\.hostId/],
      ['a misspelt option', { options: { hostid: '1' } }, /option hostid is "1".*write hostId/],
    ] as const)
      await t.test(`create refuses ${what}`, async (t) => {
        const { rc, json } = await host.create(over)
        t.match({ rc, json }, { rc: 1, json: { error: words } })
        t.same(Object.keys(json), ['error'])
      })

    await t.test('setup and teardown', async (t) => {
      const before = await host.leftovers()
      await host.container('c1')
      const { rc, json, stderr } = await host.setup({
        env: { CNI_COMMAND: 'VERSION' },
        options: { aliases: ['web', 'c1'], options: { port: '3000' } },
        request: {
          port_mappings: [
            { host_ip: '', host_port: 9000, container_port: 80, protocol: 'tcp', range: 3 },
            { host_ip: '127.0.0.1', host_port: 9000, container_port: 80, protocol: 'udp', range: 1 },
          ],
        },
      })
      const state = await stateOf(host, 'c1')
      t.same({ rc, stderr }, { rc: 0, stderr: '' })
      t.same(json, {
        dns_search_domains: [],
        dns_server_ips: [],
        interfaces: {
          eth0: { mac_address: state.mac, subnets: [{ ipnet: `${state.ips[0]}/24`, gateway: '10.100.1.1' }] },
        },
      })
      t.equal(state.gateway, '10.100.1.1')
      const [lease] = host.leases()
      t.match(lease, { name: 'name-c1', aliases: ['web', 'c1'], httpPort: 3000, state: 'active' })
      t.same(
        lease?.ports?.map((p) => `${p.protocol} ${p.hostIP}:${p.hostPort} ${p.containerPort}`),
        ['tcp :9000 80', 'tcp :9001 81', 'tcp :9002 82', 'udp 127.0.0.1:9000 80'],
      )
      t.match(await host.m.exec('nft', 'list', 'ruleset'), /9002/, 'published')
      t.same(await host.teardown(), { rc: 0, stdout: '', stderr: '', json: undefined })
      t.same(await host.leftovers(), before)
    })

    await t.test("names: our server while the gateway listens, the host's without it", async (t) => {
      const { dataDir } = host
      const text = '{"domain":"flatnet.internal","taken":[]}'
      await host.m.sh(`mkdir -p ${dataDir}/gateway /run/ft; echo '${text}' >${dataDir}/gateway/names.json`)
      const dnsOf = async (network: Record<string, unknown> = {}): Promise<unknown[]> => {
        const { json } = await host.setup({ network })
        await host.teardown()
        return [...json.dns_server_ips, ...json.dns_search_domains]
      }
      t.same(await dnsOf(), [], 'it would be the only server, and it does not run')
      const listen = `require('net').createServer().listen('/run/ft/gateway.sock', () => console.log('listening'))`
      const gateway = await host.m.start([process.execPath, '-e', listen])
      await waitFor('it listens', 10_000, () => gateway.log().includes('listening'))
      t.same(await dnsOf({ network_dns_servers: ['192.0.2.53'] }), ['10.100.1.1', 'flatnet.internal'])
      const record = await host.m.json('cat', `${dataDir}/networks/flatnet.json`)
      t.same(record.nameservers, ['192.0.2.53'], 'podman network update --dns-add: where the gateway asks')
      await dnsOf()
      t.notOk('nameservers' in (await host.m.json('cat', `${dataDir}/networks/flatnet.json`)))
      await gateway.kill()
      await host.m.sh(`rm -rf ${dataDir}/gateway /run/ft/gateway.sock`)
    })

    await t.test('network reload: the same address and MAC, named twice', async (t) => {
      const { json } = await host.setup({
        options: { static_ips: ['10.100.1.77'], static_mac: '02:00:5e:10:00:01' },
      })
      await host.teardown({ options: { static_ips: ['10.100.1.77'] } })
      const again = {
        static_ips: ['10.100.1.77', '10.100.1.77'],
        static_mac: json.interfaces.eth0.mac_address,
      }
      t.same((await host.setup({ options: again })).json, json)
      await host.teardown()
    })

    await t.test('a container that was killed with its host starts again without teardown', async (t) => {
      const first = await host.setup()
      await host.m.exec('ip', 'netns', 'del', 'c1')
      await host.container('c1')
      const second = await host.setup()
      t.equal(second.rc, 0, second.stdout)
      t.same(second.json.interfaces.eth0.subnets, first.json.interfaces.eth0.subnets)
      t.equal(host.leases().length, 1)
    })

    await t.test('connect: a second network has an interface of its own', async (t) => {
      const network = {
        name: 'other',
        network_interface: 'flatnet2',
        options: { ...(host.network()['options'] as object), 'ipam.hostId': '2' },
      }
      const { rc, json, stdout } = await host.setup({ network, options: { interface_name: 'eth1' } })
      t.equal(rc, 0, stdout)
      t.match(json.interfaces.eth1.subnets[0].ipnet, /^10\.100\.2\./)
      t.equal((await host.teardown({ network, options: { interface_name: 'eth1' } })).rc, 0)
      t.match((await stateOf(host, 'c1')).ips[0], /^10\.100\.1\./, 'the first one stays')
      await host.teardown()
    })

    for (const [what, call, words] of [
      ['an unknown option', { options: { options: { prot: '3000' } } }, /option prot.*flatnet knows port/],
      ['a port that is none', { options: { options: { port: '0' } } }, /option port is "0".*1 to 65535/],
      ['an address of another host', { options: { static_ips: ['10.100.9.9'] } }, /10\.100\.9\.9/],
      ['a MAC for many', { options: { static_mac: '01:00:00:00:00:01' } }, /01:00:00:00:00:01/],
      ['an interface name', { options: { interface_name: 'a/b' } }, /^interface_name is "a\/b"/],
      ['a namespace that is gone', { netns: '/run/netns/gone' }, /\/run\/netns\/gone/],
      [
        'a range beyond the last port',
        {
          request: { port_mappings: [{ host_port: 65_535, container_port: 80, protocol: 'tcp', range: 2 }] },
        },
        /65536/,
      ],
      [
        'a host without the first user',
        { wrapper: ['unshare', '--user', '--map-root-user'] },
        /root's Podman/,
      ],
    ] as const)
      await t.test(`setup refuses ${what}, and leaves nothing`, async (t) => {
        const { rc, json } = await host.setup(call)
        t.match({ rc, json }, { rc: 1, json: { error: words } })
        t.same(host.leases(), [])
      })

    await t.test('setup undoes its own work, as no teardown follows', async (t) => {
      await host.m.exec('ip', '-n', 'c1', 'link', 'add', 'eth0', 'type', 'bridge')
      const before = await host.leftovers()
      const { rc, json } = await host.setup()
      t.match({ rc, json }, { rc: 1, json: { error: /eth0/ } })
      t.same(await host.leftovers(), before)
      await host.m.exec('ip', '-n', 'c1', 'link', 'del', 'eth0')
    })

    await t.test('teardown never fails', async (t) => {
      for (const [what, args, stdin] of [
        [
          'what was never set up',
          ['teardown', '/run/netns/c1'],
          JSON.stringify(host.request({ id: 'never' })),
        ],
        ['a namespace that is gone', ['teardown', '/run/netns/gone'], JSON.stringify(host.request({}))],
        [
          'a network file that is no longer right',
          ['teardown', '/run/netns/c1'],
          JSON.stringify(host.request({ network: { options: { 'ipam.hostId': 'x' } } })),
        ],
        ['half a document', ['teardown', '/run/netns/c1'], '{"container_id":'],
      ] as const) {
        const { rc, stdout } = await host.verb(args, stdin)
        t.same({ rc, stdout }, { rc: 0, stdout: '' }, what)
      }
    })

    await t.test('what is no JSON has one clear error', async (t) => {
      const { rc, json } = await host.verb(['setup', '/run/netns/c1'], '{"container_id":')
      t.match({ rc, json }, { rc: 1, json: { error: /stdin is not JSON/ } })
    })
  })
