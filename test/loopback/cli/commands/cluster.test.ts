/**
 * The commands of the cluster against a gateway that answers from a table: what they print, and what they make of a no.
 */
import { createServer } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cli } from '../../../../cli/cli.ts'
import { parseDuration } from '../../../../cli/commands/token.ts'
import { daemonTemplate } from '../../../../conf/templates.ts'
import type { PathInfo } from '../../../../core/api.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'
import { hostView } from '../../../helpers/gateway/host-view.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

interface Answered {
  readonly status: number
  readonly body: unknown
}

/** @returns how to run a command against it, and what it was asked */
async function gateway(t: Test, answers: Readonly<Record<string, Answered>>) {
  const dir = scratchFolder(t)
  const socket = join(dir, 's')
  const asked: string[] = []
  const server = createServer((req, res) => {
    let text = ''
    req.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    req.on('end', () => {
      asked.push(`${req.method} ${req.url} ${text}`.trim())
      const { status, body } = answers[`${req.method} ${req.url}`] ?? { status: 404, body: {} }
      res.writeHead(status).end(JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(socket, resolve)
  })
  t.teardown(() => server.close())
  const conf = daemonTemplate().replace('/run/flatnet/gateway.sock', socket).replace('/var/lib/flatnet', dir)
  return {
    asked,
    async run(...argv: string[]) {
      const said = { stdout: '', stderr: '' }
      const stream = (name: keyof typeof said) => ({
        write(text: string) {
          said[name] += text
        },
      })
      const io = { stdout: stream('stdout'), stderr: stream('stderr') }
      const code = await cli([...argv, '--config', '/f.yaml'], io, fakeHost({ files: { '/f.yaml': conf } }))
      return { code, ...said }
    },
  }
}

const refused: Answered = {
  status: 409,
  body: { code: 'ERR_FLATNET_API_CLUSTER', message: 'this host holds no ca.key: do it on host 1 (h1)' },
}

t.test('durations', async (t) => {
  t.same(['90s', '10m', '2h', '7d'].map(parseDuration), [90_000, 600_000, 7_200_000, 604_800_000])
  for (const bad of ['', '10', 'm', '0m', '-1m', '8d', '1.5h', '10 m'])
    t.throws(() => parseDuration(bad), /--ttl is/)
})

t.test('token prints one line to run elsewhere', async (t) => {
  const answer = { token: 'fnj_abc', expiresAt: Date.parse('2026-11-20T12:10:00Z') }
  const { run, asked } = await gateway(t, { 'POST /v1/cluster/tokens': { status: 201, body: answer } })
  const ran = await run('token', '--ttl', '5m', '--replace', '3')
  t.equal(ran.stdout, 'flatnet join fnj_abc\n', 'alone on stdout, for a script')
  t.match(ran.stderr, /works once, for 5m/)
  t.same(asked, ['POST /v1/cluster/tokens {"ttlMs":300000,"replaces":3}'])
  t.same(JSON.parse((await run('token', '--json')).stdout), {
    ...answer,
    expiresAt: '2026-11-20T12:10:00.000Z',
  })
  t.equal((await run('token', '--replace', '3', '--host-id', '4')).code, 2, 'one or the other')
  t.equal((await run('token', '--ttl', 'soon')).code, 2)
})

t.test('a no of the gateway is passed on', async (t) => {
  const { run } = await gateway(t, { 'POST /v1/cluster/tokens': refused, 'POST /v1/cluster/revoke': refused })
  for (const argv of [['token'], ['revoke', '2']]) {
    const ran = await run(...argv)
    t.equal(ran.code, 1)
    t.match(ran.stderr, /holds no ca\.key: do it on host 1 \(h1\)/)
  }
})

const localPath = (hostId: number): PathInfo => ({
  hostId,
  state: 'LOCAL',
  via: 'local',
  reason: 'own host',
  since: '2026-11-20T12:00:00.000Z',
})

t.test('hosts prints a table', async (t) => {
  const hosts = [
    hostView(1),
    hostView(2, { link: null, path: localPath(2) }),
    hostView(3, {
      link: {
        hostId: 3,
        state: 'connecting',
        reason: 'no route',
        rttMs: undefined,
        hasData: false,
        since: 0,
      },
    }),
    hostView(4, { link: null, member: { ...hostView(4).member!, state: 'revoked', name: 'n'.repeat(63) } }),
    hostView(5, { link: null }),
  ]
  const { run } = await gateway(t, { 'GET /v1/hosts': { status: 200, body: hosts } })
  const { stdout } = await run('hosts')
  t.match(stdout, /^1 +h1 +10\.100\.1\.0\/24 +up +192\.0\.2\.1:7443 +abababababab +yes +2026-11-20 12:00$/m)
  t.match(stdout, /^2 +h2 .* this host /m)
  t.match(stdout, /^host 3: no route$/m)
  t.match(stdout, /^4 +nnn.* revoked /m)
  t.match(stdout, /^5 +h5 .* no link /m, 'as a host that was revoked sees the others')
  for (const line of stdout.split('\n')) t.ok(line.length <= 100, line)
  t.equal(JSON.parse((await run('hosts', '--json')).stdout).length, 5)
})

t.test('a host alone', async (t) => {
  const alone = { status: 200, body: [hostView(1, { member: null, link: null })] }
  const { run } = await gateway(t, { 'GET /v1/hosts': alone })
  t.match((await run('hosts')).stdout, /in no cluster: flatnet init, or flatnet join/)
  t.match((await run('leave')).stderr, /this host is in no cluster/)
})

t.test('lines that are not understood', async (t) => {
  const { run } = await gateway(t, {})
  for (const argv of [['join'], ['revoke'], ['join', 'fnj_'], ['join', 'nonsense']]) {
    t.equal((await run(...argv)).code, 2, argv.join(' '))
  }
  t.match((await run('join', '--help')).stdout, /flatnet join \[token\]/)
  t.match((await run('init', '--cluster', 'Not This')).stderr, /use lower-case letters/)
})
