/**
 * plugin/request.ts: CNI_ARGS < args.cni < runtimeConfig, in every shape that runtimes send
 * (docs/architecture/cni.md#e4, #capabilities).
 */

import { hostname } from 'node:os'
import fc from 'fast-check'
import t from 'tap'
import { readNetConf } from '../../../conf/netconf.ts'
import { ConfigError } from '../../../core/errors.ts'
import { readCniArgs } from '../../../plugin/env.ts'
import { readAttachmentRequest } from '../../../plugin/request.ts'

interface Wishes {
  readonly run?: unknown
  readonly cni?: unknown
  readonly args?: string
  readonly type?: string
  readonly name?: string
}

function wanted({ run, cni, args = '', type = 'flatnet', name = 'flatnet' }: Wishes) {
  const json = { name, type, ipam: { type: 'flatnet', hostId: 1 }, runtimeConfig: run, args: cni && { cni } }
  return readAttachmentRequest(readNetConf(json, '1.0.0'), readCniArgs(args))
}

function problems(wishes: Wishes): readonly string[] {
  try {
    wanted(wishes)
    return []
  } catch (err) {
    if (err instanceof ConfigError) return err.problems
    throw err
  }
}

t.test('nothing wanted is nothing said', async (t) => {
  t.same(wanted({}), { aliases: [], ports: [], httpPort: 80 })
  t.same(wanted({ run: { ips: null, mac: '', aliases: null, portMappings: null } }), {
    aliases: [],
    ports: [],
    httpPort: 80,
  })
})

t.test('runtimeConfig wins over args.cni, which wins over CNI_ARGS (E4)', async (t) => {
  const args = 'IP=10.100.1.1;MAC=02:00:00:00:00:01'
  const cni = { ips: ['10.100.1.2'], mac: '02:00:00:00:00:02' }
  const run = { ips: ['10.100.1.3'], mac: '02:00:00:00:00:03' }
  t.match(wanted({ args }), { ip: '10.100.1.1', mac: '02:00:00:00:00:01' })
  t.match(wanted({ args, cni }), { ip: '10.100.1.2', mac: '02:00:00:00:00:02' })
  t.match(wanted({ args, cni, run }), { ip: '10.100.1.3', mac: '02:00:00:00:00:03' })
  t.match(
    wanted({ args: 'IP=nonsense;MAC=nonsense', run }),
    { ip: '10.100.1.3' },
    'what is overruled is ignored',
  )
})

t.test(
  'an address may come twice and with a prefix, as Podman sends it on reload; two are one too many',
  async (t) => {
    t.equal(wanted({ run: { ips: ['10.100.1.3', '10.100.1.3/24'] } }).ip, '10.100.1.3')
    t.equal(wanted({ args: 'IP=10.100.1.3/16' }).ip, '10.100.1.3')
    t.match(problems({ run: { ips: ['10.100.1.3', '10.100.1.4'] } }), [
      /^runtimeConfig\.ips is .*one attachment holds one/,
    ])
    t.match(problems({ run: { ips: ['fd00::1'] } }), [
      /^runtimeConfig\.ips has "fd00::1": must be an IPv4 address/,
    ])
    t.match(problems({ cni: { ips: [7] } }), [/^args\.cni\.ips has 7: /])
    t.match(problems({ cni: { ips: '10.100.1.3' } }), [/^args\.cni\.ips is "10\.100\.1\.3": must be a list/])
    t.match(problems({ args: 'IP=x' }), [/^CNI_ARGS IP has "x": /])
  },
)

t.test('a MAC is canonical and unicast', async (t) => {
  t.equal(wanted({ run: { mac: '02-00-5E-10-00-01' } }).mac, '02:00:5e:10:00:01')
  for (const mac of ['01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00', 'x', 7])
    t.match(
      problems({ run: { mac } }),
      [/^runtimeConfig\.mac is .*: must be a unicast MAC address/],
      String(mac),
    )
  t.match(problems({ args: 'MAC=x' }), [/^CNI_ARGS MAC is "x"/])
})

t.test('the name and the HTTP port come by CNI_ARGS', async (t) => {
  t.match(wanted({ args: 'K8S_POD_NAME=web;FLATNET_PORT=3000' }), { name: 'web', httpPort: 3_000 })
  t.equal('name' in wanted({ args: 'K8S_POD_NAME=' }), false)
  t.equal(wanted({ args: 'FLATNET_PORT=' }).httpPort, 80)
  for (const port of ['0', '65536', '-1', '8o', '1e3', '080808'])
    t.match(problems({ args: `FLATNET_PORT=${port}` }), [
      `CNI_ARGS FLATNET_PORT is "${port}": must be a port`,
    ])
})

t.test('aliases: a list, or a list per network as Podman sends it, each once', async (t) => {
  t.same(wanted({ run: { aliases: ['web', 'www', 'web', ''] } }).aliases, ['web', 'www'])
  t.same(wanted({ run: { aliases: { flatnet: ['web'], other: ['x'] } } }).aliases, ['web'])
  t.same(wanted({ run: { aliases: { other: ['x'] } } }).aliases, [])
  t.same(wanted({ run: { aliases: {} }, name: 'constructor' }).aliases, [], 'a network may have any name')
  for (const alias of ['localhost', 'LocalHost', hostname(), hostname().split('.')[0] ?? ''])
    t.match(problems({ run: { aliases: ['web', alias] } }), [
      /^runtimeConfig\.aliases is "[^"]+": must not hold localhost or the name of this host; choose another alias/,
    ])
  for (const aliases of ['web', [7], { flatnet: 'web' }, Array.from({ length: 257 }, (_, i) => `a${i}`)])
    t.match(problems({ run: { aliases } }), [/^runtimeConfig\.aliases is .*at most 256 strings/])
})

const mapping = (over: object) => ({ hostPort: 8080, containerPort: 80, protocol: 'tcp', ...over })
const ports = (...mappings: unknown[]) => wanted({ run: { portMappings: mappings } }).ports

t.test(
  'ports: protocol in any case, host addresses in any spelling of "any", repeated ones once',
  async (t) => {
    const plain = { protocol: 'tcp', hostIP: '', hostPort: 8080, containerPort: 80 }
    t.same(ports(mapping({})), [plain])
    t.same(ports({ hostPort: 8080, containerPort: 80 }), [plain], 'tcp is the default')
    for (const hostIP of ['', '0.0.0.0', '::']) t.same(ports(mapping({ hostIP, protocol: 'TCP' })), [plain])
    t.same(ports(mapping({}), mapping({ hostIP: '0.0.0.0' })), [plain])
    t.same(ports(mapping({ hostIP: '127.0.0.1', protocol: 'Udp' })), [
      { ...plain, protocol: 'udp', hostIP: '127.0.0.1' },
    ])
    t.equal(ports(mapping({ protocol: 'SCTP' }))[0]?.protocol, 'sctp')
    for (const hostIP of ['::1', 'fe80::1%eth0'])
      t.same(ports(mapping({ hostIP })), [], 'no IPv6 here, as portmap does')
    t.equal(ports(mapping({ hostPort: 1 }), mapping({ hostPort: 65_535 })).length, 2)
  },
)

t.test('keys are read in any case, as Go does: containerd sends its structs as they are', async (t) => {
  const sent = { HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '127.0.0.1' }
  const read = { protocol: 'tcp', hostIP: '127.0.0.1', hostPort: 8080, containerPort: 80 }
  t.same(ports(sent), [read])
  const Ips = ['10.100.1.3']
  const run = { PortMappings: [sent], Ips, MAC: '02:00:00:00:00:03', Aliases: ['www'] }
  t.match(wanted({ run }), { ip: '10.100.1.3', mac: '02:00:00:00:00:03', aliases: ['www'], ports: [read] })
  t.match(wanted({ cni: { IPs: Ips, Mac: '02:00:00:00:00:03' } }), { ip: Ips[0], mac: '02:00:00:00:00:03' })
  t.same(wanted({ run: { aliases: { Flatnet: ['x'] } } }).aliases, [], 'the name of a network is no key')
  t.match(problems({ run: { PortMappings: [{ ...sent, HostPort: 0 }] } }), [
    /^runtimeConfig\.portMappings\[0\]\.hostPort is 0: /,
  ])
})

t.test('ports: a host address with colons is IPv6 only when it is one', async (t) => {
  for (const hostIP of ['127.0.0.1:80', 'a:b', ':::1', '::1::', '[::1]', '%eth0', '1:2', '127.0.0.1%lo'])
    t.match(
      problems({ run: { portMappings: [mapping({ hostIP })] } }),
      [/^runtimeConfig\.portMappings\[0\]\.hostIP is ".*": must be an IP address of this host, or absent/],
      hostIP,
    )
  for (const hostIP of ['::ffff:127.0.0.1', '::ffff:7f00:1'])
    t.match(ports(mapping({ hostIP })), [{ hostIP: '127.0.0.1' }], 'IPv4 in IPv6 dress, as Go reads it')
  for (const hostIP of ['0:0:0:0:0:0:0:0', '::ffff:0.0.0.0'])
    t.match(ports(mapping({ hostIP })), [{ hostIP: '' }], `${hostIP} is any address`)
})

t.test('ports: every wrong one is named with its place', async (t) => {
  const of = (entry: unknown) => problems({ run: { portMappings: [mapping({}), entry] } })
  t.match(of(mapping({ protocol: 'icmp' })), [
    /^runtimeConfig\.portMappings\[1\]\.protocol is "icmp": must be tcp/,
  ])
  t.match(of(mapping({ hostPort: 0 })), [/^runtimeConfig\.portMappings\[1\]\.hostPort is 0: /])
  t.match(of(mapping({ hostPort: 65_536 })), [/hostPort is 65536/])
  t.match(of(mapping({ containerPort: 'x' })), [/containerPort is "x"/])
  t.match(of(mapping({ hostIP: 'localhost' })), [/hostIP is "localhost": must be an IP address/])
  t.equal(of('x').length, 2, 'both ports are missing')
  const twice = of(mapping({ containerPort: 81 }))
  t.match(twice, [/^runtimeConfig\.portMappings\[1\]\.hostPort is 8080: leads to container port 80 already/])
  t.same(of(mapping({ containerPort: 81, hostIP: '127.0.0.1' })), [], 'another address is another place')
  t.match(problems({ run: { portMappings: 'x' } }), [/^runtimeConfig\.portMappings is "x": must be a list/])
})

t.test('delegated IPAM: ports and names are the business of the plugin that wires', async (t) => {
  const { aliases, ports } = wanted({ type: 'bridge', run: { aliases: 7, portMappings: ['x'] } })
  t.same([aliases, ports], [[], []])
})

t.test('whatever a runtime sends is read or refused as a configuration', async () => {
  const shape = fc.record(
    { ips: fc.jsonValue(), mac: fc.jsonValue(), aliases: fc.jsonValue(), portMappings: fc.jsonValue() },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(shape, shape, (run, cni) => Array.isArray(problems({ run, cni }))),
    { numRuns: 1_000 },
  )
})
