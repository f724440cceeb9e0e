/** Two whole gateways of one cluster in the process of the test, on loopback: real TLS and real files. */
import { join } from 'node:path'
import type { Test } from 'tap'
import type { PathInfo } from '../../../core/api.ts'
import type { HostView } from '../../../gateway/api/host-view.ts'
import { ClusterFiles } from '../../../gateway/cluster/identity/files.ts'
import { createCluster, enterCluster } from '../../../gateway/cluster/joining/create.ts'
import { decodeToken } from '../../../gateway/cluster/joining/tokens.ts'
import { jsonBody, startGateway, type TestGateway } from '../gateway/gateway-fixture.ts'
import { scratchFolder } from '../run/scratch.ts'
import { waitFor } from '../run/wait.ts'

const LINK_MS = 10_000
const NET = { supernet: '10.100.0.0/16', hostPrefix: 24, ingress: { enabled: false } }
/** The test writes the registry by itself: there are no leases, so the gateway must not compare with them. */
const leases = { read: () => Promise.reject(new Error('not asked for')) }

/** @param folder of a member, with its `data/cluster` @param port 0: the kernel chooses */
export const startMember = (t: Test, folder: string, hostId: number, port = 0): Promise<TestGateway> =>
  startGateway(t, { ...NET, hostId, peers: { listen: `127.0.0.1:${port}` } }, { leases }, folder)

export const clusterFiles = (folder: string): ClusterFiles => new ClusterFiles(join(folder, 'data'))

/** Host 1, which admits, and host 2, linked. */
export async function gatewayPair(t: Test) {
  const folders = [scratchFolder(t), scratchFolder(t)] as const
  await createCluster(clusterFiles(folders[0]), {
    cluster: 'testing',
    hostId: 1,
    name: 'h1',
    endpoints: [],
    supernet: { base: 0x0a640000, prefixLen: 16 },
    hostPrefix: 24,
    now: Date.now(),
  })
  const a = await startMember(t, folders[0], 1)
  const made = await a.api('/v1/cluster/tokens', { method: 'POST', ...jsonBody({}) })
  await enterCluster(clusterFiles(folders[1]), decodeToken(made.json().token), {
    name: 'h2',
    endpoints: [],
    now: Date.now(),
  })
  const b = await startMember(t, folders[1], 2)
  await waitFor('both are linked', LINK_MS, async () => (await pathOf(a, 2)).via === 'gateway')
  return { a, b, folders }
}

export const pathOf = async (gw: TestGateway, hostId: number): Promise<PathInfo> =>
  (await gw.api(`/v1/paths/${hostId}`)).json()

export const hostOf = async (gw: TestGateway, hostId: number): Promise<HostView | undefined> =>
  (await gw.api('/v1/hosts')).json().find((h: HostView) => h.hostId === hostId)
