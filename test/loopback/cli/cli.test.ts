/** What the command line understands, its exit codes, and the two commands that ask the gateway. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cli } from '../../../cli/cli.ts'
import { apiGet } from '../../../cli/host/client.ts'
import type { Host } from '../../../cli/host/host.ts'
import { daemonTemplate } from '../../../conf/templates.ts'
import { version } from '../../../conf/version.ts'
import type { HostView } from '../../../gateway/api/host-view.ts'
import { fakeHost } from '../../helpers/gateway/fake-host.ts'
import { hostView } from '../../helpers/gateway/host-view.ts'

async function run(argv: readonly string[], host: Host = fakeHost({}), columns?: number) {
  let stdout = ''
  let stderr = ''
  const io = {
    stdout: {
      ...(columns !== undefined && { columns }),
      write: (text: string) => {
        stdout += text
      },
    },
    stderr: {
      write: (text: string) => {
        stderr += text
      },
    },
  }
  const code = await cli(argv, io, host)
  return { code, stdout, stderr }
}

t.test('without arguments it says what it is, on stderr (CNI C5)', async (t) => {
  const ran = await run([])
  t.equal(ran.code, 0)
  t.equal(ran.stdout, '')
  t.match(
    ran.stderr,
    /^CNI flatnet plugin \d+\.\d+\.\d+\nCNI protocol versions supported: 0\.3\.0, .*1\.1\.0\n/,
  )
})

t.test('help and version go to stdout', async (t) => {
  t.same(await run(['--version']), { code: 0, stdout: `${version()}\n`, stderr: '' })
  const { stdout } = await run(['--help'])
  const names = [...stdout.matchAll(/^ {2}flatnet (\w+)/gm)]
    .map(([, name]) => name ?? '')
    .filter((name) => name !== 'completion')
  t.ok(names.length > 12)
  for (const columns of [undefined, 80, 200]) {
    for (const argv of [['--help'], ['gateway', '-h'], ...names.map((name) => [name, '--help'])]) {
      const help = await run(argv, fakeHost({}), columns)
      t.equal(help.code, 0, argv.join(' '))
      t.equal(help.stderr, '')
      for (const line of help.stdout.split('\n')) t.ok(line.length <= (columns === 80 ? 80 : 100), line)
      if (argv[1] === '--help')
        t.match(help.stdout, new RegExp(`\n\nExamples:\n  flatnet ${argv[0]}\\b`), 'with an example')
    }
  }
})

const usageError: readonly (readonly [argv: readonly string[], text: RegExp])[] = [
  [['isntall'], /: there is no command isntall\. Did you mean install\?\n/],
  [['bogus'], /: there is no command bogus\n/],
  [['version'], /: there is no command version\. Did you mean --version\?\n/],
  [['revoke'], /: something is missing: flatnet revoke <host>\n/],
  [['join', '--name', 'x'], /: no token: standard input is closed\n {2}next: flatnet join < file/],
  [['--bogus'], /: there is no option --bogus\n/],
  [['--json'], /: there is no option --json\n/],
  [['ps', '--bogus'], /: there is no option --bogus\n {2}next: flatnet ps --help/],
  [['ps', '--jsn'], /: there is no option --jsn\. Did you mean --json\?\n/],
  [['ps', '-json'], /: there is no option -json\. Did you mean --json\?\n/],
  [
    ['gc', '--dryrun', '--jason'],
    /--dryrun\. Did you mean --dry-run\?; .* --jason\. Did you mean --json\?\n/,
  ],
  [['init', '--dry-run'], /: there is no option --dry-run\n/],
  [['gateway', 'now'], /: "now" is too much; the command is: flatnet gateway\n/],
  [['hosts', 'release', '3', '4'], /: "4" is too much; the command is: flatnet hosts \[action\] \[host\]\n/],
  [['hosts', 'relase', '3'], /: "relase" is not known here: it must be release\. Did you mean release\?\n/],
  [['ps', '--config'], /: --config needs a value\n/],
  [['ps', '--config='], /: --config is "": must not be empty\n/],
  [['init', '--name', ''], /: --name is "": must not be empty\n/],
  [['init', '--name', 'a b'], /: --name is "a b": letters/],
  [['init', '--cluster', 'Not This'], /: --cluster is "Not This"\n {2}next: use lower-case letters/],
  [['ps', '--host', 'two'], /: --host is "two": must be a whole number\n/],
  [['ps', '--host=1.5'], /: --host is "1\.5": must be a whole number\n/],
  [['ps', '--host=0'], /: --host is 0: it needs the number of a host, from 1 to 65534\n/],
  [['install', '--host-id', 'x', '--dry-run'], /: --host-id is "x": must be a whole number\n/],
  [['token', '--host-id', '3', '--replace', '4'], /: --replace and --host-id: one of them only\n/],
  [['revoke', 'x'], /: <host>: must be a number\n/],
  [['hosts', 'release'], /: release needs the number of a host, from 1 to 65534\n/],
  [['uninstall', '--dry-run=yes'], /: --dry-run is "yes": is said without a value\n/],
]
for (const [argv, text] of usageError) {
  t.test(`not understood: flatnet ${argv.join(' ')}`, async (t) => {
    const ran = await run(argv)
    t.equal(ran.code, 2)
    t.match(ran.stderr, text)
    t.match(ran.stderr, /^flatnet: .*\n {2}next: .*\n$/)
    t.equal(ran.stdout, '')
  })
}

t.test('completion names the commands', async (t) => {
  t.match((await run(['completion'])).stdout, /flatnet/)
})

/** A gateway whose answers are a table. */
async function gateway(t: Test, answers: Record<string, readonly [status: number, body: string]>) {
  // Not t.testdir: its names are longer than the path of a socket may be.
  const dir = mkdtempSync(join(tmpdir(), 'ft-cli-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const socket = join(dir, 'g.sock')
  const server = createServer((req, res) => {
    const answer = answers[req.url ?? '']
    if (answer === undefined) return
    res.writeHead(answer[0]).end(answer[1])
  })
  await new Promise<void>((done) => server.listen(socket, done))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const conf = daemonTemplate().replace('/run/flatnet/gateway.sock', socket)
  return { socket, host: fakeHost({ files: { '/f.yaml': conf } }) }
}

const web = {
  network: 'flatnet',
  containerId: 'c'.repeat(64),
  ifname: 'eth0',
  hostId: 1,
  ips: ['10.100.1.10/24'],
  mac: '0a:64:0a:64:01:0a',
  name: 'web',
  aliases: [],
  ports: [{ protocol: 'udp', hostIP: '127.0.0.1', hostPort: 53, containerPort: 5353 }],
  httpPort: 80,
  createdAt: '2026-11-20T12:00:00.000Z',
}

t.test('ps asks the gateway', async (t) => {
  const long = { ...web, name: 'n'.repeat(200), ips: ['10.100.1.9/24'], ports: Array(50).fill(web.ports[0]) }
  const { host } = await gateway(t, {
    '/v1/assignments?': [200, JSON.stringify([web, long])],
    '/v1/assignments?name=web&host=1': [200, JSON.stringify([web])],
  })
  const table = await run(['ps', '--config', '/f.yaml'], host)
  t.equal(table.code, 0, table.stderr)
  const lines = table.stdout.trimEnd().split('\n')
  for (const line of lines) t.ok(line.length <= 100, `${line.length} columns`)
  t.match(lines[1], /^nnn.* 10\.100\.1\.9 /, 'sorted by address as a number')
  t.match(lines[2], /^web +10\.100\.1\.10 +1 +flatnet +cccccccccccc +eth0 +80 +127\.0\.0\.1:53->/)
  const json = await run(['ps', '--json', '--name', 'web', '--host', '1', '--config', '/f.yaml'], host)
  t.same(JSON.parse(json.stdout), [web])
})

t.test('ps marks what runs on hosts out of reach', async (t) => {
  const on = (hostId: number, hostState: string) => ({ ...web, hostId, hostState, name: `on-${hostId}` })
  const all = [on(1, 'live'), on(2, 'unreachable'), on(3, 'gone'), on(4, 'quarantined')]
  const { host } = await gateway(t, { '/v1/assignments?': [200, JSON.stringify(all)] })
  const { stdout } = await run(['ps', '--config', '/f.yaml'], host)
  t.match(stdout, /^on-1 +\S+ +1 +flatnet /m)
  t.match(stdout, /^on-2 +\S+ +2 \(unreachable\) +flatnet /m)
  t.match(stdout, /^on-3 +\S+ +3 \(gone\) +flatnet /m)
  t.match(stdout, /^on-4 +\S+ +4 \(quarantined\) +flatnet /m)
  for (const line of stdout.split('\n')) t.ok(line.length <= 100, line)
})

t.test('ps without a gateway says so and shows the disk', async (t) => {
  const dataDir = t.testdir({})
  const conf = daemonTemplate()
    .replace('/run/flatnet/gateway.sock', '/nowhere.sock')
    .replace('/var/lib/flatnet', dataDir)
  const ran = await run(['ps', '--json', '--config', '/f.yaml'], fakeHost({ files: { '/f.yaml': conf } }))
  t.equal(ran.code, 0)
  t.same(JSON.parse(ran.stdout), [])
  t.match(ran.stderr, /does not answer on \/nowhere\.sock: no such socket/)
  t.match(ran.stderr, /leases on disk/)
})

/** What `GET /v1/status` answers on a host that is alone. */
const well = {
  hostId: 1,
  version: '0.1.0',
  pid: 1,
  supernet: '10.100.0.0/16',
  slice: '10.100.1.0/24',
  uptimeMs: 61_000,
  assignments: 3,
  ingress: { address: '0.0.0.0', port: 8080, connections: 2 },
  cluster: null,
  relay: null,
  reconcile: { at: '2026-11-20T11:59:00.000Z', live: 3, stale: 0, runs: 4, failures: 1, problem: 'EIO' },
  paths: [] as readonly object[],
  memory: { rssBytes: 70 * 1_048_576, heapUsedBytes: 0 },
  alarms: [],
}
const late = {
  state: 'expires soon',
  validTo: '2026-12-20T12:00:00.000Z',
  renewsAt: '2026-11-20T12:00:00.000Z',
  warning: 'the certificate of this host ends in 9 days and could not be renewed: is the admitting host up?',
}

t.test('status shows the gateway, or fails with the way out', async (t) => {
  const status = {
    ...well,
    paths: [
      {
        hostId: 2,
        state: 'GATEWAY_ONLY',
        via: 'gateway',
        reason: 'r'.repeat(200),
        since: '2026-11-20T12:00:00Z',
      },
    ],
  }
  const { host } = await gateway(t, { '/v1/status': [200, JSON.stringify(status)] })
  const ran = await run(['status', '--config', '/f.yaml'], host)
  t.match(ran.stdout, /ingress +http:\/\/0\.0\.0\.0:8080\/, 2 connections/)
  t.match(ran.stdout, /reconciled +2026-11-20 11:59:00 UTC, 3 live and 0 stale leases, 4 runs, 1 failed/)
  t.match(ran.stdout, /last problem: EIO/)
  for (const line of ran.stdout.split('\n')) t.ok(line.length <= 100, line)
  t.same(JSON.parse((await run(['status', '--json', '--config', '/f.yaml'], host)).stdout), status)

  const nowhere = daemonTemplate().replace('/run/flatnet/gateway.sock', '/nowhere.sock')
  const down = await run(['status', '--config', '/f.yaml'], fakeHost({ files: { '/f.yaml': nowhere } }))
  t.equal(down.code, 1)
  t.match(down.stderr, /next: .*flatnet gateway --config \/f\.yaml$/m)
  t.equal(down.stdout, '')
})

t.test('status says what this host relays for others', async (t) => {
  const relay = { volunteer: true, pairs: 3, maxPairs: 64, bps: 1_240_000, bandwidthMbit: null, region: null }
  const cases = [
    [relay, /relays +3 of 64 pairs of other hosts, 1\.2 Mbit\/s\n/],
    [{ ...relay, bandwidthMbit: 20, region: 'fra' }, /, 1\.2 of 20 Mbit\/s; region fra\n/],
    [{ ...relay, volunteer: false }, /relays +for no other hosts \(relay\.volunteer\)\n/],
    [null, /^((?!relays).)*$/s],
  ] as const
  for (const [given, expected] of cases) {
    const { host } = await gateway(t, { '/v1/status': [200, JSON.stringify({ ...well, relay: given })] })
    t.match((await run(['status', '--config', '/f.yaml'], host)).stdout, expected)
  }
})

const path = (hostId: number, state: string, reason: string, via = 'none') => ({
  hostId,
  state,
  via,
  reason,
  since: '2026-11-20T12:00:00.000Z',
})

t.test('one of a thing is not many', async (t) => {
  const one = {
    ...well,
    ingress: { address: '0.0.0.0', port: 8080, connections: 1 },
    reconcile: { at: '2026-11-20T11:59:00.000Z', live: 0, stale: 1, runs: 1, failures: 0 },
    cluster: {
      name: 'c',
      members: 1,
      linksUp: 0,
      expelled: null,
      certificate: { ...late, warning: undefined },
    },
  }
  const { host } = await gateway(t, { '/v1/status': [200, JSON.stringify(one)] })
  const { stdout } = await run(['status', '--config', '/f.yaml'], host)
  t.match(stdout, /cluster +c, 1 host, 0 linked/)
  t.match(stdout, /, 1 connection\n/)
  t.match(stdout, /0 live and 1 stale lease, 1 run, 0 failed/)
})

t.test('status and hosts tell a host that is out what to do', async (t) => {
  const expelled = 'host 2 was revoked'
  const out = {
    ...well,
    hostId: 2,
    cluster: { name: 'k3', members: 2, linksUp: 0, expelled, certificate: late },
  }
  const own = hostView(2, { link: null, path: path(2, 'LOCAL', 'own host', 'local') as HostView['path'] })
  const views = [{ ...own, member: { ...own.member!, state: 'revoked' } }]
  const { host } = await gateway(t, {
    '/v1/status': [200, JSON.stringify(out)],
    '/v1/hosts': [200, JSON.stringify(views)],
  })
  const status = await run(['status', '--config', '/f.yaml'], host)
  t.match(status.stdout, /cluster +no member of k3 any more: host 2 was revoked/)
  const plain = (text: string): string => text.replaceAll(/\s+/g, ' ')
  t.match(
    plain(status.stdout),
    / this host is out of k3: flatnet leave --force; to come back: flatnet token on /,
  )
  const hosts = await run(['hosts', '--config', '/f.yaml'], host)
  t.match(plain(hosts.stdout), / host 2: this one is out \(revoked\); flatnet leave --force; to come back: /)
})

t.test('the tables of a whole cluster, on terminals of 100 and of 80 columns', async (t) => {
  const name = 'n'.repeat(63)
  const views = [1, 254].map((n) =>
    hostView(n, {
      link: {
        hostId: n,
        state: 'connecting',
        reason: 'x '.repeat(99),
        rttMs: undefined,
        hasData: false,
        since: 0,
      },
      member: {
        ...hostView(n).member!,
        name,
        slice: '100.100.254.0/24',
        endpoints: ['198.51.100.254:65535'],
      },
    }),
  )
  const ways = [
    path(1, 'LOCAL', 'own host', 'local'),
    { ...path(253, 'GATEWAY_FALLBACK', 'r'.repeat(200), 'relay:254'), rttMs: 1234.5 },
    path(254, 'QUARANTINED', `two machines use the identity of host 254; flatnet hosts release 254 ends it`),
  ]
  const alarms = [{ hostId: 254, reason: 'a '.repeat(90), next: 'b '.repeat(90), since: '' }]
  const { host } = await gateway(t, {
    '/v1/status': [200, JSON.stringify({ ...well, paths: ways, alarms })],
    '/v1/hosts': [200, JSON.stringify(views)],
    '/v1/assignments?': [200, JSON.stringify([{ ...web, name, hostId: 254, hostState: 'quarantined' }])],
  })
  for (const columns of [100, 80]) {
    for (const verb of ['status', 'hosts', 'ps']) {
      const { stdout } = await run([verb, '--config', '/f.yaml'], host, columns)
      for (const line of stdout.split('\n')) t.ok(line.length <= columns, `${line.length}: ${line}`)
    }
    const { stdout } = await run(['status', '--config', '/f.yaml'], host, columns)
    const [title, value] = columns === 100 ? [' +TIER', ' +-'] : ['', '']
    t.match(stdout, new RegExp(`^HOST +STATE +VIA${title} +RTT +SINCE \\(UTC\\) +REASON$`, 'm'))
    t.match(
      stdout,
      new RegExp(`^253 +GATEWAY_FALLBACK +relay:254${value} +1235 ms +2026-11-20 12:00:00\n +r+\n`, 'm'),
    )
    t.equal(
      stdout
        .match(/r+(?=\n)/g)
        ?.filter((row) => row.length > 3)
        .join('').length,
      200,
      'all of it',
    )
  }
})

const ONLY_PAGES = "only web pages, by the peer's gateway"
const troubles: readonly (readonly [name: string, paths: readonly object[], said: RegExp | undefined])[] = [
  ['all is well', [path(2, 'GATEWAY_ONLY', 'connected', 'gateway'), path(3, 'CONNECTING', 'x')], undefined],
  [
    'one host out of reach',
    [path(3, 'ISOLATED', `connect ETIMEDOUT ${'1'.repeat(99)}`)],
    /^host 3 ISOLATED: the gateway there has to run, and TCP 7443/m,
  ],
  [
    'many out of reach are one line',
    Array.from({ length: 12 }, (_, i) => path(i + 2, 'ISOLATED', 'x')),
    /^hosts 2, 3, .*, 11 and 2 more ISOLATED: /m,
  ],
  ['a clone', [path(7, 'QUARANTINED', 'two machines')], /^host 7 QUARANTINED: [\s\S]*release 7$/m],
  [
    'no TUN device',
    [2, 3].map((n) =>
      path(n, 'GATEWAY_ONLY', `${ONLY_PAGES}: host 1 carries no packets (no TUN)`, 'gateway'),
    ),
    /^no tunnel: [\s\S]*modprobe tun/m,
  ],
  [
    'no TUN device on another host',
    [path(12, 'GATEWAY_ONLY', `${ONLY_PAGES}: host 12 carries no packets (no TUN)`, 'gateway')],
    /^host 12: it carries no packets, [\s\S]*modprobe\s+tun there/m,
  ],
]
for (const [name, paths, said] of troubles) {
  t.test(`status says in a line what to do: ${name}`, async (t) => {
    const alarms = [{ hostId: 9, reason: 'a'.repeat(60), next: 'b'.repeat(60), since: '' }]
    const status = {
      ...well,
      cluster: { name: 'c'.repeat(63), members: 3, linksUp: 1, expelled: null, certificate: late },
      paths,
      alarms: said === undefined ? [] : alarms,
    }
    const { host } = await gateway(t, { '/v1/status': [200, JSON.stringify(status)] })
    const { stdout } = await run(['status', '--config', '/f.yaml'], host)
    const [, after = ''] = stdout.split(/(?<=REASON\n)(?:\d.*\n)+/)
    if (said === undefined) t.equal(after, '')
    else {
      t.match(after, said)
      t.match(after, /^host 9: a+; next:\nb+$/m)
    }
    for (const line of stdout.split('\n')) t.ok(line.length <= 100, line)
  })
}

t.test('a wrong flatnet.yaml is no reason to ask at another door', async (t) => {
  const host = fakeHost({ files: { '/f.yaml': 'hostId: 0\nhostid: 1\n' } })
  for (const verb of ['ps', 'status']) {
    const ran = await run([verb, '--config', '/f.yaml'], host)
    t.equal(ran.code, 1)
    t.match(ran.stderr, /\/f\.yaml is wrong\n {2}- hostid[\s\S]*- hostId is 0/)
  }
})

t.test('a file that was named has to be there; the usual one may be missing', async (t) => {
  const verbs = [
    ['ps'],
    ['status'],
    ['hosts'],
    ['hosts', 'release', '2'],
    ['token'],
    ['revoke', '2'],
    ['leave'],
    ['gc', '--dry-run'],
    ['uninstall', '--dry-run'],
    ['doctor'],
    ['gateway'],
  ]
  for (const argv of verbs) {
    const ran = await run([...argv, '--config', '/none.yaml'])
    t.equal(ran.code, 1, argv.join(' '))
    t.match(ran.stderr, /\/none\.yaml/)
    t.match(
      ran.stderr,
      argv[0] === 'gateway' ? /name another file with --config/ : /next: .*leave --config out/,
    )
    t.equal(ran.stdout, '')
  }
  const usual = await run(['gc', '--dry-run', '--config', '/etc/flatnet/flatnet.yaml'], fakeHost({ uid: 1 }))
  t.match(usual.stderr, /needs root/)
})

t.test('the client is bounded in time and names what is wrong', async (t) => {
  const { socket } = await gateway(t, { '/bad': [200, '{'], '/refused': [400, '{"code":"ERR"}'] })
  await t.rejects(apiGet({ socket }, '/hangs', 50), {
    message: /no answer within 50 ms/,
    next: /restart|start it again/,
  })
  await t.rejects(apiGet({ socket }, '/bad'), { message: /is not JSON/ })
  await t.rejects(apiGet({ socket }, '/refused'), {
    message: /answered 400 to GET \/refused: \{"code":"ERR"\}/,
  })
  await t.rejects(apiGet({ socket: '/nowhere.sock' }, '/'), { message: /no such socket/ })
})

t.test('commands that change the host need root', async (t) => {
  for (const argv of [['install', '--no-service'], ['uninstall'], ['gc']]) {
    const ran = await run(argv, fakeHost({ uid: 1000 }))
    t.equal(ran.code, 1, argv.join(' '))
    t.match(ran.stderr, /needs root/)
  }
})
