/** The registry between whole gateways on loopback: real TLS, real files, the API and the metrics. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ListedAssignment } from '../../../../core/api.ts'
import { gatewayPair, hostOf, pathOf, startMember } from '../../../helpers/cluster/cluster-pair.ts'
import { jsonBody, type TestGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { waitFor } from '../../../helpers/run/wait.ts'

const WAIT = 10_000
const listed = async (gw: TestGateway, query = ''): Promise<ListedAssignment[]> =>
  (await gw.api(`/v1/assignments${query}`)).json()

t.test('what one gateway registers the other one shows, marks and keeps', async (t) => {
  const { a, b, folders } = await gatewayPair(t)
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
  const cold = await startMember(t, folders[1], 2)
  t.match(await listed(cold), [{ name: 'web', hostState: 'unreachable' }])
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
