/** The registry between whole gateways on loopback: real TLS, real files, the API and the metrics. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { ListedAssignment, PathInfo } from '../../../../core/api.ts'
import { createCluster, enterCluster } from '../../../../gateway/cluster/create.ts'
import { ClusterFiles } from '../../../../gateway/cluster/files.ts'
import { decodeToken } from '../../../../gateway/cluster/tokens.ts'
import type { HostView } from '../../../../gateway/cluster/view.ts'
import { jsonBody, scratch, startGateway, type TestGateway } from '../../../helpers/gateway-fixture.ts'
import { waitFor } from '../../../helpers/wait.ts'

const WAIT = 10_000
const NET = { supernet: '10.100.0.0/16', hostPrefix: 24, ingress: { enabled: false } }
/** The test writes the registry by itself: no leases, so nothing may be compared with them. */
const leases = { read: () => Promise.reject(new Error('not asked for')) }

const start = (t: Test, folder: string, hostId: number, port = 0): Promise<TestGateway> =>
  startGateway(t, { ...NET, hostId, peers: { listen: `127.0.0.1:${port}` } }, { leases }, folder)

async function pair(t: Test) {
  const folders = [await scratch(t), await scratch(t)] as const
  await createCluster(new ClusterFiles(join(folders[0], 'data')), {
    cluster: 'testing',
    hostId: 1,
    name: 'h1',
    endpoints: [],
    supernet: { base: 0x0a640000, prefixLen: 16 },
    hostPrefix: 24,
    now: Date.now(),
  })
  const a = await start(t, folders[0], 1)
  const made = await a.api('/v1/cluster/tokens', { method: 'POST', ...jsonBody({}) })
  await enterCluster(new ClusterFiles(join(folders[1], 'data')), decodeToken(made.json().token), {
    name: 'h2',
    endpoints: [],
    now: Date.now(),
  })
  const b = await start(t, folders[1], 2)
  await waitFor('both are linked', WAIT, async () => (await pathOf(a, 2)).via === 'gateway')
  return { a, b, folders }
}

const pathOf = async (gw: TestGateway, hostId: number): Promise<PathInfo> =>
  (await gw.api(`/v1/paths/${hostId}`)).json()

const listed = async (gw: TestGateway, query = ''): Promise<ListedAssignment[]> =>
  (await gw.api(`/v1/assignments${query}`)).json()

const hostOf = async (gw: TestGateway, hostId: number): Promise<HostView | undefined> =>
  (await gw.api('/v1/hosts')).json().find((h: HostView) => h.hostId === hostId)

t.test('what one gateway registers the other one shows, marks and keeps', async (t) => {
  const { a, b, folders } = await pair(t)
  const reply = await a.api('/v1/assignments', {
    method: 'POST',
    ...jsonBody(sample(1, 'web')),
  })
  t.match(reply.json().paths, [{ hostId: 2, state: 'GATEWAY_ONLY', via: 'gateway', reason: /web pages/ }])
  await waitFor('it is there', WAIT, async () => (await listed(b, '?name=WEB')).length === 1)
  t.match(await listed(b), [{ name: 'web', hostId: 1, hostState: 'live', ips: ['10.100.1.10/24'] }])
  t.match(await hostOf(b, 1), { state: 'live', assignments: 1, quarantine: null })
  const metrics = (await b.api('/metrics')).body
  t.match(metrics, /^flatnet_registry_assignments\{host="1"\} 1$/m)
  t.match(metrics, /^flatnet_registry_seq\{host="1"\} 1$/m)
  t.match(metrics, /^flatnet_hosts\{state="live"\} 2$/m)
  t.match(metrics, /^flatnet_registry_lag_seconds 0$/m)
  t.match(metrics, /^flatnet_paths\{state="GATEWAY_ONLY",via="gateway"\} 1$/m)

  await a.stop()
  await waitFor('it is marked', WAIT, async () => (await listed(b))[0]?.hostState === 'unreachable')
  t.match(await pathOf(b, 1), { state: 'ISOLATED', via: 'none' })
  await b.stop()
  t.same(readdirSync(join(folders[1], 'data', 'gateway', 'peers')), ['1.json'])
  const cold = await start(t, folders[1], 2)
  t.match(await listed(cold), [{ name: 'web', hostState: 'unreachable' }])
})

t.test('a release of what is not kept out says so', async (t) => {
  const { a } = await pair(t)
  const answer = await a.api('/v1/hosts/2/release', { method: 'POST' })
  t.equal(answer.status, 200)
  t.same(answer.json(), { hostId: 2, released: false })
  t.equal((await a.api('/v1/hosts/x/release', { method: 'POST' })).status, 400)
})

const sample = (hostId: number, name: string) => ({
  network: 'flatnet',
  containerId: `c-${name}`,
  ifname: 'eth0',
  hostId,
  ips: [`10.100.${hostId}.10/24`],
  mac: '0a:64:0a:64:01:0a',
  name,
  aliases: [],
  ports: [],
  httpPort: 80,
  createdAt: '2026-11-20T13:00:00.000Z',
})
