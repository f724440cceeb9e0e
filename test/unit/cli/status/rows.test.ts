/** Which rows `flatnet status` prints above its tables, and that it gets on with a gateway of an older version. */
import t from 'tap'
import { statusRows } from '../../../../cli/status/rows.ts'
import type { PathInfo } from '../../../../core/api.ts'
import type { Status } from '../../../../gateway/api/status.ts'

const LONE = {
  hostId: 1,
  pid: 42,
  supernet: '10.100.0.0/16',
  slice: '10.100.1.0/24',
  uptimeMs: 61_000,
  assignments: 3,
  ingress: null,
  reconcile: null,
  cluster: null,
  dns: null,
  mdns: null,
  relay: null,
  messages: null,
  p2p: null,
  nebula: null,
  paths: [] as PathInfo[],
  memory: { rssBytes: 64 * 1_048_576, heapUsedBytes: 0 },
} as unknown as Status

const textOf = (status: Status, key: string): string | undefined =>
  statusRows(status).find((row) => row.key === key)?.text

t.test('what is switched off has no row', async (t) => {
  t.strictSame(
    statusRows(LONE).map(({ key, text }) => `${key}: ${text}`),
    [
      'host: 1, owns 10.100.1.0/24 of 10.100.0.0/16',
      'gateway: unknown version, pid 42, up 1 min 1 s',
      'cluster: none',
      'containers: 3',
      'ingress: off',
      'reconciled: not yet',
      'memory: 64 MB',
    ],
  )
})

t.test('a gateway of an older version has fewer fields', async (t) => {
  const { dns: _dns, mdns: _mdns, relay: _relay, nebula: _nebula, messages: _messages, ...older } = LONE
  t.strictSame(statusRows(older as Status), statusRows(LONE))
})

t.test('parts of a row stand behind one another', async (t) => {
  const relay = { volunteer: true, pairs: 1, maxPairs: 64, bps: 2.5e6, bandwidthMbit: 500, region: 'fra1' }
  const busy = { ...LONE, relay: { ...LONE.relay, ...relay } } as Status
  t.equal(textOf(busy, 'relays'), '1 of 64 pairs of other hosts, 2.5 of 500 Mbit/s; region fra1')
  const off = { ...busy, relay: { ...busy.relay, volunteer: false } } as Status
  t.equal(textOf(off, 'relays'), 'for no other hosts (relay.volunteer); region fra1')
})

t.test('a Nebula that does not work says only why', async (t) => {
  const nebula = { device: 'flatnet-nebula', pid: null, version: null, problem: 'nebula is not installed' }
  const paths = [{ hostId: 2, state: 'GATEWAY_ONLY', nebula: { reason: 'no probe was answered' } }]
  const broken = { ...LONE, nebula, paths } as unknown as Status
  t.equal(textOf(broken, 'nebula'), 'flatnet-nebula, carries to 0 hosts; nebula is not installed')
  const working = { ...LONE, nebula: { ...nebula, problem: null }, paths } as unknown as Status
  t.equal(
    textOf(working, 'nebula'),
    'flatnet-nebula, carries to 0 hosts; not to host 2: no probe was answered',
  )
})

t.test('a TURN server says what it does, or what is wrong with it', async (t) => {
  const turn = [
    { server: 'a:3478', state: 'idle' },
    { server: 'b:3478', state: 'used', relayed: '192.0.2.1:5000' },
    { server: 'c:3478', state: 'failed', problem: 'it does not answer' },
  ]
  t.equal(
    textOf({ ...LONE, p2p: { turn } } as unknown as Status, 'turn'),
    'a:3478 idle; b:3478 relays from 192.0.2.1:5000; c:3478: it does not answer',
  )
  t.equal(textOf({ ...LONE, p2p: { turn: [] } } as unknown as Status, 'turn'), undefined)
})
