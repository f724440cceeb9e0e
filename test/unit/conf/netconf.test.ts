/**
 * conf/netconf.ts: each wrong key is one problem that names key and value, all are told at once, and unknown
 * ones are code 2 (docs/architecture/plugin.md#configuration).
 */
import t from 'tap'
import { networkName, parseNetConfJson, readLeniently, readNetConf } from '../../../conf/netconf.ts'
import { conflistTemplate } from '../../../conf/templates.ts'
import { ConfigError, FlatnetError } from '../../../core/errors.ts'

type Json = Record<string, unknown>

const base = (over: Json = {}): Json => ({
  cniVersion: '1.0.0',
  name: 'flatnet',
  type: 'flatnet',
  ipam: { type: 'flatnet', hostId: 1 },
  ...over,
})
const withIpam = (over: Json): Json => base({ ipam: { type: 'flatnet', hostId: 1, ...over } })

function problemsOf(json: Json): { code: number; problems: readonly string[] } {
  try {
    readNetConf(json, '1.0.0')
    return { code: 0, problems: [] }
  } catch (err) {
    if (err instanceof ConfigError) return { code: err.cniCode, problems: err.problems }
    throw err
  }
}

t.test('what is not said has the documented value', async (t) => {
  const conf = readNetConf(base(), '1.0.0')
  t.match(conf, {
    role: 'plugin',
    bridge: 'flatnet0',
    mtu: 0,
    isDefaultGateway: true,
    ipMasq: true,
    hairpinMode: true,
    httpPort: 80,
    dataDir: '/var/lib/flatnet',
    registrar: { socketPath: '/run/flatnet/gateway.sock', timeoutMs: 300 },
    ipam: {
      hostId: 1,
      supernet: { base: 0x0a640000, prefixLen: 16 },
      hostPrefix: 24,
      firstOffset: 10,
      routes: [],
    },
  })
  t.equal(conf.validAttachments, undefined, 'absent is not empty (docs/architecture/cni.md#g3)')
})

t.test('the template that ships is right', async (t) => {
  const list = JSON.parse(conflistTemplate())
  t.equal(problemsOf({ cniVersion: list.cniVersion, name: list.name, ...list.plugins[0] }).code, 0)
})

/** [what is laid over, the only problem it makes]. */
const WRONG: readonly (readonly [Json, RegExp])[] = [
  [base({ bridge: 7 }), /^bridge is 7: /],
  [base({ bridge: 'a/b' }), /^bridge is "a\/b": must be an interface name/],
  [base({ bridge: 'x'.repeat(16) }), /^bridge is "x{16}": /],
  [base({ mtu: '1500' }), /^mtu is "1500": /],
  [base({ mtu: -1 }), /^mtu is -1: /],
  [base({ mtu: 575 }), /^mtu is 575: must be 0 .* or 576 to 65535/],
  [base({ mtu: 65_536 }), /^mtu is 65536: /],
  [base({ isDefaultGateway: 'yes' }), /^isDefaultGateway is "yes": must be true or false/],
  [base({ ipMasq: 1 }), /^ipMasq is 1: /],
  [base({ hairpinMode: null }), /^hairpinMode is null: /],
  [base({ httpPort: 0 }), /^httpPort is 0: must be a whole number from 1 to 65535/],
  [base({ dataDir: 'var/lib' }), /^dataDir is "var\/lib": must be an absolute path/],
  [base({ dataDir: '/proc/x' }), /^dataDir is "\/proc\/x": .* not below \/proc or \/sys/],
  [base({ dataDir: '//./sys' }), /^dataDir is /],
  [base({ dataDir: '/var/../proc/x' }), /^dataDir is /],
  [base({ dataDir: '/a\0b' }), /^dataDir is "\/a\\u0000b": /],
  [base({ registrar: [] }), /^registrar is \[\]: /],
  [base({ registrar: { endpoint: 'http://x' } }), /^registrar\.endpoint is "http:\/\/x": must be unix:\/\//],
  [base({ registrar: { endpoint: `unix:///${'x'.repeat(107)}` } }), /^registrar\.endpoint is "unix:/],
  [base({ registrar: { timeoutMs: 0 } }), /^registrar\.timeoutMs is 0: .* from 1 to 10000/],
  [base({ runtimeConfig: 'x' }), /^runtimeConfig is "x": must be an object/],
  [base({ args: 3 }), /^args is 3: /],
  [base({ args: { cni: [] } }), /^args\.cni is \[\]: |^cni is \[\]: /],
  [withIpam({ type: 'host-local' }), /^ipam\.type is "host-local": must be "flatnet"/],
  [withIpam({ hostId: '1' }), /^ipam\.hostId is "1": /],
  [base({ ipam: { type: 'flatnet' } }), /^ipam\.hostId is missing: /],
  [withIpam({ supernet: '10.100.1.0/16' }), /^ipam\.supernet is "10\.100\.1\.0\/16": .* without host bits/],
  [withIpam({ supernet: 7 }), /^ipam\.supernet is 7: /],
  [withIpam({ hostPrefix: 31 }), /^ipam\.hostPrefix is 31: /],
  [withIpam({ firstOffset: 1 }), /^ipam\.firstOffset is 1: /],
  [withIpam({ routes: {} }), /^ipam\.routes is \{\}: must be a list/],
  [withIpam({ routes: [{}] }), /^ipam\.routes\[0\]\.dst is missing: /],
  [withIpam({ routes: ['10.0.0.0/8'] }), /^ipam\.routes\[0\]\.dst is missing: /],
  [withIpam({ routes: [{ dst: '10.0.0.1/8' }] }), /^ipam\.routes\[0\]\.dst is "10\.0\.0\.1\/8": /],
  [withIpam({ routes: [{ dst: '0.0.0.0/0', gw: 'x' }] }), /^ipam\.routes\[0\]\.gw is "x": /],
  [withIpam({ routes: [{ dst: '0.0.0.0/0', mtu: -1 }] }), /^ipam\.routes\[0\]\.mtu is -1: /],
  [withIpam({ routes: [{ dst: '0.0.0.0/0', advmss: 70_000 }] }), /^ipam\.routes\[0\]\.advmss is 70000: /],
  [
    withIpam({ routes: [{ dst: '0.0.0.0/0', priority: 2 ** 32 }] }),
    /^ipam\.routes\[0\]\.priority is 4294967296: /,
  ],
  [withIpam({ routes: [{ dst: '0.0.0.0/0', table: 'main' }] }), /^ipam\.routes\[0\]\.table is "main": /],
  [withIpam({ routes: [{ dst: '0.0.0.0/0', scope: 256 }] }), /^ipam\.routes\[0\]\.scope is 256: /],
]

t.test('one wrong key gives one problem with key and value, code 7', async (t) => {
  for (const [json, expected] of WRONG) {
    const { code, problems } = problemsOf(json)
    t.equal(problems.length, 1, `${expected}: ${JSON.stringify(problems)}`)
    t.match(problems[0], expected)
    t.equal(code, 7, String(expected))
  }
})

t.test('null in the place of an object is nothing, as for Go', async (t) => {
  for (const key of ['args', 'registrar', 'dns', 'runtimeConfig'])
    t.same(problemsOf(base({ [key]: null })).problems, [])
  t.same(problemsOf(base({ args: { cni: null } })).problems, [])
})

t.test('a route twice, which the kernel would refuse after the link is made', async (t) => {
  const dst = '172.30.0.0/16'
  const again = (first: Json, second: Json) =>
    problemsOf(
      withIpam({
        routes: [
          { dst, ...first },
          { dst, ...second },
        ],
      }),
    )
  t.same(again({}, {}), {
    code: 7,
    problems: ['ipam.routes[1] is {"dst":"172.30.0.0/16"}: the same as routes[0]; take one of them out'],
  })
  t.equal(again({}, { gw: '10.100.1.1' }).code, 7, "the bridge's address is what an absent gw stands for")
  t.equal(again({ table: 254 }, { priority: 0, mtu: 0 }).code, 7, 'so are the other defaults')
  for (const other of [
    { gw: '10.100.1.7' },
    { priority: 5 },
    { table: 100 },
    { mtu: 1400 },
    { dst: '172.31.0.0/16' },
  ])
    t.equal(again({}, other).code, 0, JSON.stringify(other))
})

t.test('all problems are told at once', async (t) => {
  const { problems } = problemsOf({
    ...base({ bridge: 7, mtu: -1, httpPort: 0, dataDir: 'x', registrar: { timeoutMs: 0 } }),
    ipam: { type: 'x', supernet: 'y', routes: [{ dst: 'z' }, { dst: '0.0.0.0/0', gw: 1 }] },
  })
  for (const key of [
    'bridge',
    'mtu',
    'httpPort',
    'dataDir',
    'registrar.timeoutMs',
    'ipam.type',
    'ipam.hostId',
  ])
    t.ok(
      problems.some((p) => p.startsWith(`${key} `)),
      key,
    )
  for (const key of ['ipam.supernet', 'ipam.routes[0].dst', 'ipam.routes[1].gw'])
    t.ok(
      problems.some((p) => p.startsWith(`${key} `)),
      key,
    )
})

t.test(
  'an unknown ipam key is code 2 with key and value (docs/architecture/cni.md#s3), and says what was meant',
  async (t) => {
    t.same(problemsOf(withIpam({ subnet: '10.0.0.0/8' })), {
      code: 2,
      problems: [
        'ipam.subnet is "10.0.0.0/8": no such key; known are type, hostId, supernet, hostPrefix, firstOffset, routes, dataDir',
      ],
    })
    t.match(problemsOf(withIpam({ host_prefix: 24 })), {
      code: 2,
      problems: [/^ipam\.host_prefix is 24: write hostPrefix/],
    })
    t.match(problemsOf(withIpam({ routes: [{ dst: '0.0.0.0/0', gateway: 'x' }] })), { code: 2 })
    t.match(problemsOf(base({ registrar: { url: 'x' } })), {
      code: 2,
      problems: [/^registrar\.url is "x": no such key/],
    })
    t.equal(
      problemsOf({ ...withIpam({ subnet: 'x' }), mtu: -1 }).code,
      7,
      'a wrong value beside it weighs more',
    )
  },
)

t.test('what runtimes and libcni add is none of our business (docs/architecture/cni.md#s4)', async (t) => {
  const json = base({
    capabilities: { portMappings: true },
    'cni.dev/valid-attachments': [],
    dns: { nameservers: ['1.1.1.1'] },
    args: { labels: [] },
    somethingNew: 1,
    runtimeConfig: null,
  })
  t.equal(problemsOf(json).code, 0)
  t.same(readNetConf(json, '1.0.0').validAttachments, [])
  t.same(readNetConf(base({ 'cni.dev/attachments': [1] }), '1.0.0').validAttachments, [1], 'the older name')
})

t.test("the runtime's own keys are read in any case, as Go does; the conflist's are not", async (t) => {
  const sent = {
    CNIVersion: '1.0.0',
    Name: 'n',
    RuntimeConfig: { IPs: [] },
    PrevResult: {},
    Args: { CNI: { Mac: 'x' } },
  }
  const json = parseNetConfJson(JSON.stringify({ ...sent, 'CNI.dev/Valid-Attachments': [] }))
  t.match(json, { cniVersion: '1.0.0', name: 'n' })
  const conf = readNetConf({ ...base(), ...json }, '1.0.0')
  t.match(conf, { runtimeConfig: { ips: [] }, cniArgs: { mac: 'x' }, prevResult: {}, validAttachments: [] })
  t.same(problemsOf(base({ HttpPort: 81 })).problems, ['HttpPort is 81: write httpPort'])
})

t.test("delegated: another plugin's keys are not ours, and our own may stand in ipam", async (t) => {
  const json = base({ type: 'bridge', bridge: 7, mtu: 'x', ipMasq: 3 })
  const conf = readNetConf({ ...json, ipam: { type: 'flatnet', hostId: 1, dataDir: '/srv/f/' } }, '1.0.0')
  t.equal(conf.role, 'ipam')
  t.equal(conf.dataDir, '/srv/f')
  t.equal(conf.bridge, 'flatnet0')
  t.match(problemsOf({ ...json, ipam: { type: 'flatnet' } }).problems, [/^ipam\.hostId is missing/])
})

t.test(
  'a lenient reading goes on with defaults in the place of what is wrong (docs/architecture/cni.md#d7)',
  async (t) => {
    const { conf, problems } = readLeniently(base({ bridge: 7, mtu: -1, ipam: 'x', dataDir: '/d' }), '1.0.0')
    t.ok(problems.length >= 3)
    t.equal(conf.name, 'flatnet')
    t.equal(conf.dataDir, '/d', 'what is right stays')
    t.equal(conf.bridge, 'flatnet0')
  },
)

const thrownBy = (run: () => unknown): FlatnetError => {
  try {
    run()
  } catch (err) {
    if (err instanceof FlatnetError) return err
    throw err
  }
  throw new Error('nothing was thrown')
}

t.test('stdin that is no JSON object is code 6 (docs/architecture/cni.md#s1, #s8)', async (t) => {
  for (const text of ['', 'x', '{', '[]', 'null', '"x"', '{} {}', '\ufeff{}', '{}\0'])
    t.equal(thrownBy(() => parseNetConfJson(text)).cniCode, 6, JSON.stringify(text))
  t.same(parseNetConfJson(' \n{"a": 1}\n'), { a: 1 })
})

t.test('the name is checked as the reference skeleton does (docs/architecture/cni.md#s1)', async (t) => {
  for (const name of [undefined, ''])
    t.match(
      thrownBy(() => networkName({ name })),
      { cniCode: 7, message: 'missing network name' },
    )
  for (const name of ['-x', 'a b', 'a/b', '../x', 7, null, 'a\n'])
    t.match(
      thrownBy(() => networkName({ name })),
      { cniCode: 7, message: /invalid characters found in network name/ },
    )
  t.match(
    thrownBy(() => networkName({ name: 'a b' })),
    { details: 'a b' },
  )
  t.match(
    thrownBy(() => networkName({ name: 'x'.repeat(64) })),
    { cniCode: 7, message: /at most 63/ },
  )
})

t.test('a slip in one of our keys is told, and so are keys whose separation we do not make', async (t) => {
  t.same(problemsOf(base({ ipmasq: false, isDefaultGatway: false, vlan: 5 })), {
    code: 2,
    problems: [
      'ipmasq is false: write ipMasq',
      'isDefaultGatway is false: write isDefaultGateway',
      'vlan is 5: no such key; Flatnet has nothing like it, take it out',
    ],
  })
  t.same(problemsOf(base({ ipMasqBackend: 'nftables', labels: [], 'cni.dev/attachments': [] })).problems, [])
})

t.test("supernets that can be nobody's are refused", async (t) => {
  for (const supernet of [
    '0.0.0.0/0',
    '0.0.0.0/16',
    '127.0.0.0/16',
    '169.254.0.0/16',
    '224.0.0.0/8',
    '240.0.0.0/8',
  ])
    t.match(
      problemsOf(withIpam({ supernet })).problems,
      [/^ipam\.supernet is .*: must be a unicast IPv4 network/],
      supernet,
    )
})

t.test('dns that Podman would refuse is refused before anything is made', async (t) => {
  t.same(
    problemsOf(base({ dns: { nameservers: ['foo', '10.0.0.1', 'fd00::1', '10.0.0.1:53'], search: [7] } }))
      .problems,
    [
      'dns.nameservers[0] is "foo": must be an IP address',
      'dns.nameservers[3] is "10.0.0.1:53": must be an IP address',
      'dns.search[0] is 7: must be a string',
    ],
  )
})
