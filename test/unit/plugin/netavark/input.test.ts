/** plugin/netavark/input.ts: what netavark 1.14 and 1.17 send becomes what a CNI runtime sends. */

import t from 'tap'
import { ConfigError } from '../../../../core/errors.ts'
import type { JsonObject } from '../../../../core/json.ts'
import { contextOf } from '../../../../plugin/context.ts'
import { readCniArgs } from '../../../../plugin/env.ts'
import { attachmentInput, networkProblems, parseInput } from '../../../../plugin/netavark/input.ts'
import { readAttachmentRequest } from '../../../../plugin/request.ts'

const ID = '0123456789abcdef'.repeat(4)

/** All keys are there, null where nothing is set. */
const NETWORK: JsonObject = {
  dns_enabled: true,
  driver: 'flatnet',
  id: 'f'.repeat(64),
  internal: false,
  ipv6_enabled: false,
  ipam_options: { driver: 'flatnet' },
  name: 'flatnet',
  network_dns_servers: null,
  network_interface: 'flatnet0',
  options: { 'ipam.hostId': '1', httpPort: '8000' },
  routes: null,
  subnets: null,
}

const OPTIONS: JsonObject = {
  aliases: null,
  interface_name: 'eth0',
  options: null,
  static_ips: null,
  static_mac: null,
}

const request = (over: JsonObject = {}, options: JsonObject = {}): JsonObject => ({
  container_id: ID,
  container_name: 'web',
  port_mappings: null,
  network: NETWORK,
  network_options: { ...OPTIONS, ...options },
  ...over,
})

/** What the core reads from it. */
function wanted(over: JsonObject = {}, options: JsonObject = {}) {
  const { env, json } = attachmentInput('ADD', request(over, options), '/run/netns/n')
  return readAttachmentRequest(contextOf(env, json).conf, readCniArgs(env.args))
}

function problems(over: JsonObject, options: JsonObject = {}): readonly string[] {
  try {
    wanted(over, options)
    return []
  } catch (err) {
    if (err instanceof ConfigError) return err.problems
    throw err
  }
}

t.test('nothing wanted: a name, and the port of the network', async (t) => {
  t.same(wanted(), { name: 'web', aliases: [], ports: [], httpPort: 8000 })
})

t.test('attachment and namespace', async (t) => {
  const { env } = attachmentInput('ADD', request(), '/run/netns/n')
  t.match(env, { verb: 'ADD', containerId: ID, ifname: 'eth0', netns: '/run/netns/n' })
})

t.test(
  'aliases keep the order: the user’s, the id, the host name; in a pod the id and the pod’s name',
  async (t) => {
    t.same(wanted({}, { aliases: ['db', ID.slice(0, 12), 'host-7'] }).aliases, [
      'db',
      ID.slice(0, 12),
      'host-7',
    ])
    const pod = wanted({ container_name: 'pod1' }, { aliases: [ID.slice(0, 12), 'pod1'] })
    t.match(pod, { name: 'pod1', aliases: [ID.slice(0, 12), 'pod1'] })
  },
)

t.test('network reload: the address of --ip comes twice, and counts once', async (t) => {
  const reload = { static_ips: ['10.100.1.77', '10.100.1.77'], static_mac: '02:00:5e:10:00:01' }
  t.match(wanted({}, reload), { ip: '10.100.1.77', mac: '02:00:5e:10:00:01' })
  t.match(problems({}, { static_ips: ['10.100.1.77', '10.100.1.78'] }), [/one attachment holds one address/])
})

t.test('--network flatnet:port=3000 is for this container alone', async (t) => {
  t.equal(wanted({}, { options: { port: '3000' } }).httpPort, 3000)
  for (const [options, words] of [
    [{ prot: '3000' }, /option prot is "3000": .*port=3000/],
    [{ port: '' }, /option port is "": must be a port/],
    [{ port: '65536' }, /option port is "65536": must be a port/],
    [{ port: 3000 }, /option port is 3000: must be a port/],
  ] as const)
    t.match(problems({}, { options }), [words], JSON.stringify(options))
})

const mapping = (over: JsonObject): JsonObject => ({
  host_ip: '',
  host_port: 8080,
  container_port: 80,
  protocol: 'tcp',
  range: 1,
  ...over,
})
const port = (hostPort: number, containerPort: number, protocol = 'tcp', hostIP = '') => ({
  protocol,
  hostIP,
  hostPort,
  containerPort,
})

t.test('ports: one entry a protocol, ranges, and every address where host_ip is empty', async (t) => {
  for (const [name, port_mappings, ports] of [
    ['one', [mapping({})], [port(8080, 80)]],
    ['a range', [mapping({ host_port: 9000, range: 3 })], [port(9000, 80), port(9001, 81), port(9002, 82)]],
    ['two protocols', [mapping({}), mapping({ protocol: 'udp' })], [port(8080, 80), port(8080, 80, 'udp')]],
    ['both in one', [mapping({ protocol: 'tcp,udp' })], [port(8080, 80), port(8080, 80, 'udp')]],
    ['one address', [mapping({ host_ip: '127.0.0.1' })], [port(8080, 80, 'tcp', '127.0.0.1')]],
    ['no range', [mapping({ range: undefined })], [port(8080, 80)]],
    ['none', [], []],
  ] as const)
    t.same(wanted({ port_mappings }).ports, ports, name)
  for (const range of [0, -1, 65_536, 1e9, 'x'])
    t.match(problems({ port_mappings: [mapping({ range })] }), [/port_mappings range is/], String(range))
  t.match(problems({ port_mappings: ['x'] }), [/hostPort is missing/, /containerPort is missing/])
})

t.test('teardown is read without judging: what was refused by setup can be taken away', async (t) => {
  const { env, json } = attachmentInput('DEL', request({}, { options: { prot: '1' } }), '')
  t.match(env, { verb: 'DEL', containerId: ID, args: '' })
  t.equal(json['name'], 'flatnet')
})

t.test('what netavark never sends has one clear error', async (t) => {
  t.throws(() => parseInput('{'), /is not JSON/)
  t.throws(() => parseInput('[]'), /must hold a JSON object/)
  t.throws(() => attachmentInput('ADD', {}, ''), /network is undefined: must be an object/)
  t.throws(() => attachmentInput('ADD', request({ container_id: null }), '/n'), /CNI_CONTAINERID\] missing/)
})

t.test('what Flatnet does not make is named with the way out, all at once', async (t) => {
  t.same(networkProblems(NETWORK), [])
  t.match(networkProblems({ ...NETWORK, ipv6_enabled: true, internal: true, routes: [{}] }), [
    /leave --ipv6 out/,
    /leave --internal out/,
    /ipam\.routes/,
  ])
})
