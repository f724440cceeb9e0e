/**
 * Two machines for one host, between whole gateways on loopback: what is told, shown, counted, and ended by a person.
 */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from 'node:tls'
import t from 'tap'
import { stringify } from 'yaml'
import { cli } from '../../../../cli/cli.ts'
import type { Status } from '../../../../gateway/api/status.ts'
import { issue, makeRequest } from '../../../../gateway/cluster/identity/certificates.ts'
import { Alpn, tlsOptions } from '../../../../gateway/links/tls.ts'
import {
  clusterFiles,
  gatewayPair,
  hostOf,
  pathOf,
  startMember,
} from '../../../helpers/cluster/cluster-pair.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'
import { followEvents } from '../../../helpers/gateway/gateway-events.ts'
import { jsonBody, startGateway, type TestGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'
import { waitFor } from '../../../helpers/run/wait.ts'

const WAIT = 20_000

const statusOf = async (gw: TestGateway): Promise<Status> => (await gw.api('/v1/status')).json()

/** The command line against this gateway. */
async function flatnet(gw: Pick<TestGateway, 'socket'>, ...argv: string[]) {
  const said = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof said) => ({
    write(text: string) {
      said[name] += text
    },
  })
  const conf = stringify({ hostId: 1, api: { socket: gw.socket } })
  const io = { stdout: stream('stdout'), stderr: stream('stderr') }
  const code = await cli([...argv, '--config', '/f.yaml'], io, fakeHost({ files: { '/f.yaml': conf } }))
  return { code, ...said }
}

// The first mostly waits: the others run meanwhile.
t.jobs = 2

t.test(
  'a machine with another key for a host: refused, told, shown and counted, and the log is not filled',
  async (t) => {
    const { b, folders } = await gatewayPair(t)
    const reader = await followEvents(b.socket)
    t.teardown(() => reader.close())
    // As after the admitting host was restored from a snapshot: the CA gave number 1 twice.
    const files = clusterFiles(folders[0])
    const ca = { certPem: files.read('caPem')!, keyPem: files.read('caKeyPem')! }
    const { keyPem, requestPem } = await makeRequest()
    const certPem = await issue(ca, requestPem, { cluster: 'testing', hostId: 1, now: Date.now() })
    const rival = { cluster: 'testing', hostId: 1, caPem: ca.certPem, certPem, keyPem }
    const { port } = (await statusOf(b)).cluster!
    let tries = 0
    const knock = (): Promise<void> =>
      new Promise((resolve) => {
        tries++
        const options = { host: '127.0.0.1', port, ALPNProtocols: [Alpn.control], servername: '' }
        const socket = connect({ ...tlsOptions(rival), ...options, checkServerIdentity: () => undefined })
        socket.on('error', () => {})
        socket.on('close', () => resolve())
      })
    await waitFor('it is an alarm', WAIT, async () => {
      await knock()
      await pause(250)
      return (await statusOf(b)).alarms.length > 0
    })
    await knock()
    t.ok(tries > 10, 'it took several tries, as the list of members might have been on its way')
    t.match((await statusOf(b)).alarms, [
      { hostId: 1, reason: /127\.0\.0\.1 calls itself host 1 with another key/ },
    ])
    const view = await hostOf(b, 1)
    t.match(view, { alarms: [{ next: /flatnet leave --force, then flatnet join/ }], quarantine: null })
    t.equal(view?.link?.state, 'up', 'the real one keeps its link')
    t.match(await pathOf(b, 1), { state: 'GATEWAY_ONLY', via: 'gateway' })
    const alarms = reader.events().filter((e) => e.type === 'alarm')
    t.match(alarms, [{ data: { hostId: 1, reason: /another key/, next: /leave --force/ } }])
    const count = (event: string) => b.logged.filter((l) => l.event === event).length
    t.equal(count('host alarm raised'), 1)
    const { body } = await b.api('/metrics')
    t.match(body, /^flatnet_alarms 1$/m)
    t.match(body, /^flatnet_alarms_total\{host="1"\} 1$/m)
    t.match(body, new RegExp(`^flatnet_cluster_refused_total\\{why="duplicate"\\} ${tries}$`, 'm'))
    for (const verb of ['hosts', 'status']) {
      const { stdout } = await flatnet(b, verb)
      t.match(stdout, /^host 1: the machine at 127\.0\.0\.1 calls itself host 1 with another key/m, verb)
    }
  },
)

t.test('a clone is kept out until a person releases its host', async (t) => {
  const { a, b, folders } = await gatewayPair(t)
  const reader = await followEvents(a.socket)
  t.teardown(() => reader.close())
  t.same(
    (await flatnet(a, 'hosts', 'release', '2')).stdout,
    'host 2 is not in quarantine on this gateway; no host is.\n',
  )
  t.match((await flatnet(a, 'hosts', 'release', '1')).stdout, /not in quarantine here; run this where/)

  const copy = scratchFolder(t)
  cpSync(join(folders[1], 'data', 'cluster'), join(copy, 'data', 'cluster'), { recursive: true })
  const clone = await startMember(t, copy, 2)
  await waitFor('the host is kept out', WAIT, async () => (await pathOf(a, 2)).state === 'QUARANTINED')
  t.match(await pathOf(a, 2), { via: 'none', reason: /two machines.*; flatnet hosts release 2 ends it/ })
  t.match(await hostOf(a, 2), { state: 'quarantined', quarantine: /two machines/ })
  const hosts = await flatnet(a, 'hosts')
  t.match(hosts.stdout, /^2 +h2 +10\.100\.2\.0\/24 +QUARANTINED /m)
  t.match(hosts.stdout, /^host 2: two machines use the identity of host 2; flatnet hosts release 2 ends it$/m)
  t.match((await flatnet(a, 'status')).stdout, /^host 2 QUARANTINED: stop the machine/m)
  await waitFor('the machines are told', WAIT, async () => {
    const both = [await statusOf(b), await statusOf(clone)]
    return both.some((s) => s.alarms.some((alarm) => /host 1 sees a second machine/.test(alarm.reason)))
  })

  await clone.stop()
  const released = await flatnet(a, 'hosts', 'release', '2')
  t.match(released, { code: 0, stdout: /^host 2 is admitted again by this gateway/ })
  await waitFor('it is reached again', WAIT, async () => (await pathOf(a, 2)).via === 'gateway')
  t.same(JSON.parse((await flatnet(a, 'hosts', 'release', '2', '--json')).stdout), {
    hostId: 2,
    released: false,
  })
  const states = reader.events().filter((e) => e.type === 'hostChanged' || e.type === 'alarm')
  t.ok(states.some((e) => e.type === 'alarm' && /release 2$/.test(e.data.next)))
  const told = states.flatMap((e) => (e.type === 'hostChanged' && e.data.hostId === 2 ? [e.data.state] : []))
  t.ok(told.includes('quarantined') && told.at(-1) === 'live', told.join(' '))
  t.ok(reader.events().some((e) => e.type === 'pathChanged' && e.data.path.state === 'QUARANTINED'))
})

t.test('what release answers besides', async (t) => {
  const { a } = await gatewayPair(t)
  const post = async (host: string) => {
    const { status, json } = await a.api(`/v1/hosts/${host}/release`, { method: 'POST', ...jsonBody({}) })
    return { status, ...json() }
  }
  t.match(await post('2'), { status: 200, hostId: 2, released: false })
  t.match(await post('9'), { status: 404, message: /no host 9 in this cluster: flatnet hosts/ })
  t.match(await post('x'), { status: 400, code: 'ERR_FLATNET_API_INVALID' })
  t.match(await flatnet(a, 'hosts', 'release', '9'), { code: 1, stderr: /no host 9 in this cluster/ })
  for (const argv of [['release'], ['release', 'x'], ['release', '0'], ['relase', '1']]) {
    t.equal((await flatnet(a, 'hosts', ...argv)).code, 2, argv.join(' '))
  }
  t.match(await flatnet({ socket: '/nowhere.sock' }, 'hosts', 'release', '2'), {
    code: 1,
    stderr: /the gateway does not answer on \/nowhere\.sock/,
  })
  const alone = await startGateway(t)
  t.match(await flatnet(alone, 'hosts', 'release', '2'), {
    code: 1,
    stderr: /this host is in no cluster: flatnet init/,
  })
})

t.test('events of the cluster', async (t) => {
  const { a, b, folders } = await gatewayPair(t)
  const reader = await followEvents(a.socket)
  t.teardown(() => reader.close())
  await b.stop()
  const seen = (type: string, part: object) => () =>
    reader.events().some((e) => e.type === type && hasAll(e.data, part))
  await waitFor('its path is gone', WAIT, seen('pathChanged', { state: 'ISOLATED', hostId: 2 }))
  await waitFor('it is out of reach', WAIT, seen('hostChanged', { hostId: 2, state: 'unreachable' }))
  await startMember(t, folders[1], 2)
  await waitFor('it is back', WAIT, seen('hostChanged', { hostId: 2, state: 'live' }))
  await a.api('/v1/cluster/revoke', { method: 'POST', ...jsonBody({ hostId: 2 }) })
  await waitFor('it is revoked', WAIT, seen('hostRevoked', { hostId: 2, name: 'h2' }))
  await waitFor('there is no path any more', WAIT, async () => (await a.api('/v1/paths/2')).status === 404)
  t.same(
    (await a.api('/v1/paths')).json().map((p: { hostId: number }) => p.hostId),
    [1],
  )
  for (const wrong of ['9', 'x', '-1', '99999999'])
    t.equal((await a.api(`/v1/paths/${wrong}`)).status, 404, wrong)
})

/** Of an event's data, or of the one object in it. */
function hasAll(data: Record<string, unknown>, part: object): boolean {
  const inner = (data['path'] ?? data['host'] ?? data) as Record<string, unknown>
  return Object.entries(part).every(([key, value]) => inner[key] === value)
}
