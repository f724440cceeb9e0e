/** HTTPS of the executable with curl: the cluster's CA, files by name, reloading, and what status and doctor say. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { webCa, webPair, writePair } from '../helpers/gateway/web-certificate.ts'
import { type Background, type Machine, machine } from '../helpers/kernel/machine.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { cliExecutable } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const { path: flatnet } = cliExecutable()
const LAN = '192.168.77.5'
/** Answers with what it was asked; `/slow` ends its answer when a file appears. */
const SERVER = `
const { existsSync } = require('node:fs')
require('node:http').createServer((q, s) => {
  if (!q.url.startsWith('/slow')) return s.end(JSON.stringify(q.headers))
  s.write('begun ')
  const look = setInterval(() => existsSync(process.argv[1]) && (clearInterval(look), s.end('ended')), 20)
}).listen(80, '10.100.1.20', () => console.log('up'))`

interface Site {
  readonly m: Machine
  readonly gateway: Background
  /** In the machine and outside. */
  readonly release: string
  curl(...args: string[]): Promise<{ rc: number; out: string }>
}

/** @param tls the section `ingress.tls`, as JSON */
async function site(t: Parameters<typeof machine>[0], tls: (dir: string) => unknown): Promise<Site> {
  const m = await machine(t)
  const release = join(m.dir, 'release')
  await m.sh(`ip addr add ${LAN}/32 dev lo; ip addr add 10.100.1.20/32 dev lo`)
  await m.exec(flatnet, 'install', '--no-service', '--cni-bin-dir', '/opt/cni/bin')
  const section = JSON.stringify(await tls(m.dir))
  await m.sh(`sed -i 's|^ingress:$|ingress:\\n  tls: ${section}|' /etc/flatnet/flatnet.yaml`)
  const server = await m.start([process.execPath, '-e', SERVER, release], { name: 'server' })
  const gateway = await m.start([flatnet, 'gateway'], { name: 'gateway' })
  await waitFor(
    'server and gateway',
    30_000,
    async () => server.log().includes('up') && gateway.log().includes('gateway started'),
  )
  await register(m)
  const names = ['web.flatnet', 'shop.lan.example'].flatMap((n) => [
    '--resolve',
    `${n}:8443:${LAN}`,
    '--resolve',
    `${n}:8080:${LAN}`,
  ])
  return {
    m,
    gateway,
    release,
    async curl(...args) {
      const { rc, stdout } = await m.run(['curl', '-sS', '--max-time', '30', ...names, ...args])
      return { rc, out: stdout }
    },
  }
}

async function register(m: Machine): Promise<void> {
  const body = JSON.stringify({
    hostId: 1,
    network: 'flatnet',
    containerId: 'c0ffee',
    ifname: 'eth0',
    ips: ['10.100.1.20/24'],
    mac: '02:00:00:00:00:01',
    httpPort: 80,
    name: 'web',
    aliases: ['shop'],
    ports: [],
    createdAt: '2026-11-28T00:00:00Z',
  })
  const api = ['--unix-socket', '/run/flatnet/gateway.sock', 'http://flatnet/v1/assignments']
  await m.exec('curl', '-sSf', '-H', 'content-type: application/json', '-d', body, ...api)
}

const status = async (m: Machine) => (await m.json(flatnet, 'status', '--json')).ingress.tls

t.test('tls: internal, from a host alone to a trusted page', { skip: needsRoot }, async (t) => {
  const { m, curl } = await site(t, () => ({ internal: true, redirect: true }))
  const alone = await m.run([flatnet, 'ca'])
  t.equal(alone.rc, 1)
  t.match(alone.stderr, /in no cluster: flatnet init makes one/)
  t.match(
    (await m.run([flatnet, 'doctor', '--json'])).stdout,
    /"what": "ingress\.tls\.internal is true and this host/,
  )
  await m.exec(flatnet, 'init', '--no-service', '--cni-bin-dir', '/opt/cni/bin')
  await waitFor('a certificate', 30_000, async () => (await status(m)).certificates.length === 1)
  await register(m)
  const ca = join(m.dir, 'ca.pem')
  await m.sh(`${flatnet} ca > ${ca}`)
  for (const [version, url] of [
    ['--http1.1', 'https://web.flatnet:8443/'],
    ['--http2', 'https://web.flatnet:8443/'],
    ['--http2', `https://${LAN}:8443/~web/`],
  ] as const) {
    const { rc, out } = await curl('--cacert', ca, version, '-w', '\n%{http_version}', url)
    t.equal(rc, 0, `${version} ${url}`)
    const [body = '', spoken] = out.split('\n')
    t.equal(spoken, version === '--http2' ? '2' : '1.1')
    t.match(JSON.parse(body), { 'x-forwarded-proto': 'https', 'x-forwarded-port': '8443' })
  }
  t.equal((await curl('https://web.flatnet:8443/')).rc, 60, 'without the CA it is not trusted')
  const plain = await curl(
    '-o',
    '/dev/null',
    '-w',
    '%{http_code} %{redirect_url}',
    'http://web.flatnet:8080/a',
  )
  t.equal(plain.out, '308 https://web.flatnet:8443/a')
})

t.test('files: by name, changed under a request, and wrong ones', { skip: needsRoot }, async (t) => {
  const ca = await webCa()
  let dir = ''
  const { m, curl, release } = await site(t, async (at) => {
    dir = at
    writeFileSync(join(at, 'ca.pem'), ca.pem)
    const web = writePair(at, 'web', await webPair(ca, ['web.flatnet']))
    return { ...web, certs: [writePair(at, 'shop', await webPair(ca, ['*.lan.example']))], hsts: 60 }
  })
  const trusted = ['--cacert', join(dir, 'ca.pem')]
  for (const name of ['web.flatnet', 'shop.lan.example'])
    t.equal((await curl(...trusted, `https://${name}:8443/`)).rc, 0, name)
  t.match(
    (await curl(...trusted, '-D', '-', 'https://web.flatnet:8443/')).out,
    /strict-transport-security: max-age=60/i,
  )
  const underWay = curl(...trusted, '--http1.1', 'https://web.flatnet:8443/slow')
  const streamed = curl(...trusted, '--http2', 'https://web.flatnet:8443/slow')
  await waitFor('both under way', 30_000, async () => (await status(m)).connections >= 2)
  writeFileSync(join(dir, 'web.key'), (await webPair(ca, ['x'])).keyPem)
  await waitFor('the wrong key is told', 30_000, async () => (await status(m)).problems.length === 1)
  t.match((await m.run([flatnet, 'doctor', '--json'])).stdout, /web\.key\\": it is not the key of .*web\.crt/)
  writePair(dir, 'web', await webPair(ca, ['new.flatnet', 'web.flatnet']))
  await waitFor('the new one', 30_000, async () => JSON.stringify(await status(m)).includes('new.flatnet'))
  t.same((await status(m)).problems, [])
  t.equal((await curl(...trusted, 'https://web.flatnet:8443/')).rc, 0)
  writeFileSync(release, '')
  t.match(await underWay, { rc: 0, out: 'begun ended' })
  t.match(await streamed, { rc: 0, out: 'begun ended' })
})
