/** flatnet.yaml: defaults, every problem at once, and the template that ships. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseDaemonConf, readDaemonConf } from '../../../conf/daemon.ts'
import { nearest } from '../../../conf/nearest.ts'
import { formatPrefix } from '../../../core/addr.ts'

const problems = (text: string): readonly string[] => {
  try {
    parseDaemonConf(text)
  } catch (err) {
    return (err as { problems: string[] }).problems
  }
  return []
}

t.test('the shipped template holds every default', async (t) => {
  const text = await readFile(new URL('../../../conf/flatnet.yaml', import.meta.url), 'utf8')
  const conf = parseDaemonConf(text)
  t.same(conf, parseDaemonConf('hostId: 1'))
  t.equal(formatPrefix(conf.slice), '10.100.1.0/24')
  t.match(conf, {
    dataDir: '/var/lib/flatnet',
    api: { socket: '/run/flatnet/gateway.sock' },
    ingress: { host: '0.0.0.0', port: 8080, connectTimeoutMs: 1000, enabled: true },
    reconcileMs: 30_000,
    log: { level: 'info', file: '-' },
  })
})

t.test('ingress.tls: pairs of files, in order', (t) => {
  const read = (tls: string) => parseDaemonConf(`{ hostId: 1, ingress: { tls: ${tls} } }`).ingress.tls
  t.equal(read('null'), undefined)
  t.match(read('{ cert: /a.crt, key: /a.key, certs: [{ cert: /b.crt, key: /b.key }] }'), {
    host: '0.0.0.0',
    port: 8443,
    certificates: [
      { cert: '/a.crt', key: '/a.key', at: 'ingress.tls' },
      { cert: '/b.crt', key: '/b.key', at: 'ingress.tls.certs[0]' },
    ],
  })
  const of = (tls: string) => problems(`{ hostId: 1, ingress: { tls: ${tls} } }`)
  t.match(of('external'), [/^ingress\.tls is "external": must be /])
  t.match(of('{}'), [/^ingress\.tls\.cert is missing: must be the absolute path/])
  t.match(of('{ cert: a.crt, keys: /a }'), [
    /^ingress\.tls\.keys is "\/a": no such key; did you mean key\?/,
    /^ingress\.tls\.cert is "a\.crt": must be an absolute path/,
    /^ingress\.tls\.key is missing: must be the absolute path of a PEM file; cert and key go together/,
  ])
  t.match(of('{ listen: 443, certs: [{ cert: /a }] }'), [
    /^ingress\.tls\.listen is 443: must be an address and a port/,
    /^ingress\.tls\.certs\[0\]\.key is missing/,
  ])
  t.end()
})

t.test('paths.stun: names and addresses, each with a port', (t) => {
  const of = (stun: string) => problems(`{ hostId: 1, paths: { stun: ${stun} } }`)
  const good = ['stun.example:3478', '192.0.2.1:3478', '[2001:db8::1]:65535', 'a_b-c:1']
  t.same(parseDaemonConf(`{ hostId: 1, paths: { stun: ${JSON.stringify(good)} } }`).paths.stun, good)
  const bad = [
    'stun.example',
    'stun:0',
    'a:65536',
    '192.0.2.256:1',
    '[192.0.2.1]:1',
    '2001:db8::1:1',
    'a..b:1',
    ':1',
  ]
  for (const text of [...bad.map((one) => JSON.stringify([one])), '[7]', JSON.stringify([...good, 'e:1'])])
    t.match(
      of(text),
      [/^paths\.stun is .*: must be at most 4 names or addresses with ports, e\.g\. \["stun/],
      text,
    )
  t.match(of('[]'), [])
  t.match(problems('{ hostId: 1, paths: { sturn: [] } }'), [
    /^paths\.sturn is .*: no such key; did you mean stun\?/,
  ])
  t.end()
})

t.test('every problem at once, with key, value and what is allowed', (t) => {
  const found = problems(`
hostID: 3
supernet: 10.100.0.1/16
dataDir: relative
api: { socket: /run/${'x'.repeat(100)}, group: "a b", mode: 0660 }
ingress: { listen: ":8080", connectTimeoutMs: 0, max_connections: 5 }
reconcileMs: soon
log: { level: loud, file: x.log }
peers: { listen: 7443, advertise: ["192.0.2.7"], port: 1 }
p2p: { listen: 7443, on: true }
peer: {}
`)
  const expected = [
    'hostID is 3: no such key; did you mean hostId?',
    'hostId is missing: must be a whole number from 1 to 254',
    'supernet is "10.100.0.1/16": must be an IPv4 network without host bits, e.g. "10.100.0.0/16"',
    'dataDir is "relative": must be an absolute path',
    'api.mode is 660: no such key; known are socket, group',
    'api.group is "a b": must be the name of a group',
    'ingress.max_connections is 5: no such key; did you mean maxConnections?',
    'ingress.listen is ":8080": must be an address and a port, e.g. "0.0.0.0:8080", "127.0.0.1:80" or "[::]:8080"',
    'ingress.connectTimeoutMs is 0: must be a whole number from 10 to 5000',
    'reconcileMs is "soon": must be a whole number from 100 to 3600000',
    'log.level is "loud": must be one of trace, debug, info, warn, error, silent',
    'log.file is "x.log": must be an absolute path',
    'peers.port is 1: no such key; known are listen, advertise',
    'peers.listen is 7443: must be an address and a port, e.g. "0.0.0.0:7443" or "192.0.2.7:7443"',
    'peers.advertise is ["192.0.2.7"]: must be at most 8 addresses with ports, e.g. ["192.0.2.7:7443"]',
    'p2p.on is true: no such key; known are enabled, listen, hosts',
    'p2p.listen is 7443: must be an address and a port, e.g. "[::]:7443" or "192.0.2.7:7443"',
    'peer is {}: no such key; did you mean peers?',
  ]
  for (const line of expected) t.ok(found.includes(line), line)
  t.ok(found.some((p) => /^api\.socket is .*must be at most 90 bytes/.test(p)))
  t.equal(found.length, expected.length + 1)
  t.end()
})

t.test('what is not a mapping', (t) => {
  for (const text of ['- 1', 'x', '7', 'true'])
    t.match(problems(text), [/^the file holds .*must be keys with values/], text)
  for (const text of ['a: [', 'a: 1\na: 2', '\t- x: y', '{'])
    t.match(problems(text), [/^not YAML: /], JSON.stringify(text))
  t.match(problems('# nothing'), [/^hostId is missing/])
  t.match(problems(''), [/^hostId is missing/])
  t.match(problems('hostId: 1\napi: 7'), ['api is 7: must be an object'])
  const bomb = `a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]`
  t.match(problems(bomb), [/^not YAML that we take/])
  t.end()
})

t.test('slices', (t) => {
  const slice = (text: string): string => formatPrefix(parseDaemonConf(text).slice)
  t.equal(slice('hostId: 254'), '10.100.254.0/24')
  t.equal(slice('{hostId: 3, supernet: 10.0.0.0/8, hostPrefix: 16}'), '10.3.0.0/16')
  t.equal(slice('{hostId: 1, supernet: 10.0.0.0/29, hostPrefix: 30}'), '10.0.0.4/30')
  for (const bad of [
    'hostId: 0',
    'hostId: 255',
    '{hostId: 1, hostPrefix: 16}',
    '{hostId: 1, hostPrefix: 31}',
    '{hostId: 1, hostPrefix: 11}',
  ]) {
    t.not(problems(bad).length, 0, bad)
  }
  t.end()
})

t.test('listening', (t) => {
  const listen = (text: string) => {
    const { host, port } = parseDaemonConf(`{hostId: 1, ingress: {listen: "${text}"}}`).ingress
    return `${host} ${port}`
  }
  t.equal(listen('127.0.0.1:80'), '127.0.0.1 80')
  t.equal(listen('[::]:8080'), ':: 8080')
  t.equal(listen('0.0.0.0:0'), '0.0.0.0 0')
  for (const bad of [
    '[a:b]:80',
    '[:::1]:80',
    '8080',
    'localhost:80',
    '1.2.3:80',
    '0.0.0.0:65536',
    '0.0.0.0:',
    '[::1',
    '::1:80',
  ]) {
    t.throws(() => listen(bad), { code: 'ERR_FLATNET_CONFIG' }, bad)
  }
  t.end()
})

t.test('a file that cannot be read names --config', async (t) => {
  const path = join(t.testdir({}), 'no.yaml')
  await t.rejects(readDaemonConf(path), {
    code: 'ERR_FLATNET_CONFIG',
    message: `cannot read ${path}: flatnet install writes it, or name another file with --config`,
  })
})

t.test('nearest', (t) => {
  t.same(nearest('databse', ['database', 'web', 'data'], 5), ['database', 'data'])
  t.same(nearest('wbe', ['web', 'db']), ['web'])
  t.same(nearest('WEB', ['web']), ['web'])
  t.same(nearest('x', ['alpha', 'beta']), [])
  t.same(nearest('', ['a']), [])
  t.same(nearest('a'.repeat(1000), ['a'.repeat(1000)]), [], 'long words are not compared')
  t.end()
})

t.test('p2p', (t) => {
  const p2p = (text: string) => parseDaemonConf(`hostId: 1\n${text}`).p2p
  t.same(p2p(''), { enabled: true, listen: { host: '::', port: 7443 }, off: new Set() })
  t.same(p2p('p2p: { enabled: false, listen: "192.0.2.7:7000", hosts: { 7: off, 8: on, 9: false } }'), {
    enabled: false,
    listen: { host: '192.0.2.7', port: 7000 },
    off: new Set([7, 9]),
  })
  for (const bad of ['7', '{ x: off }', '{ 7: never }', '[7]'])
    t.match(
      problems(`hostId: 1\np2p: { hosts: ${bad} }`),
      [/^p2p\.hosts .*must be hostIds with on or off/],
      bad,
    )
  t.end()
})

t.test('peers', (t) => {
  const peers = (text: string) => parseDaemonConf(`hostId: 1\n${text}`).peers
  t.same(peers(''), { listen: { host: '0.0.0.0', port: 7443 }, advertise: [] })
  const advertise = ['192.0.2.7:7443', '[2001:db8::7]:7443', 'vpn.example:443']
  t.same(peers(`peers: { listen: "[::]:7000", advertise: ${JSON.stringify(advertise)} }`), {
    listen: { host: '::', port: 7000 },
    advertise,
  })
  for (const bad of ['[a:b]:7443', '[1::2::]:7443', 'x', 'x:0', 'x:', ':1', '::1:7443', 'a b:1']) {
    t.not(problems(`hostId: 1\npeers: { advertise: [${JSON.stringify(bad)}] }`).length, 0, bad)
  }
  t.not(problems(`hostId: 1\npeers: { advertise: ${JSON.stringify(Array(9).fill('x:1'))} }`).length, 0)
  t.end()
})

t.test('ingress.domains', async (t) => {
  const domainsOf = (list: string): unknown =>
    parseDaemonConf(`{hostId: 1, ingress: {domains: ${list}}}`).ingress.domains
  t.same(domainsOf('[]'), [])
  t.same(domainsOf('["*.corp.example", Flatnet.lan, a_b.x, x]'), [
    '*.corp.example',
    'Flatnet.lan',
    'a_b.x',
    'x',
  ])
  for (const wrong of [
    'corp.example',
    '["*"]',
    '["*.*.x"]',
    '["a..b"]',
    '["http://x"]',
    '["x:80"]',
    '[7]',
    '["-a.x"]',
    `[${'x,'.repeat(65)}]`,
  ])
    t.throws(() => domainsOf(wrong), { message: /ingress\.domains is .*: must be/ }, wrong)
})

t.test('a list that is none is one problem', async (t) => {
  for (const [key, inner] of [
    ['ingress', 'domains'],
    ['ingress', 'trustedProxies'],
    ['peers', 'advertise'],
  ])
    t.same(problems(`{hostId: 1, ${key}: {${inner}: x}}`), [`${key}.${inner} is "x": must be a list`])
})
