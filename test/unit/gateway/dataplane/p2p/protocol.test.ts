/** The lines between the gateway and its P2P process, and what is refused. */
import fc from 'fast-check'
import t from 'tap'
import {
  DEMOTION_REASONS,
  type DemotionReason,
  type FromProcess,
  LineSplitter,
  lineOf,
  MAX_LINE_BYTES,
  P2P_PROTOCOL,
  ProtocolError,
  parseFromProcess,
  parseToProcess,
  type SessionView,
  type ToProcess,
} from '../../../../../gateway/dataplane/p2p/protocol.ts'

const attempt = '0123456789abcdef'
const secret = 'ab'.repeat(64)
const candidates = [{ address: '192.0.2.1:7443' }, { address: '[2001:db8::1]:7443' }]

const session: SessionView = {
  hostId: 2,
  attempt,
  generation: 4,
  isPromoted: true,
  isProven: true,
  isFullSize: true,
  address: '192.0.2.2:7443',
  rttMs: 0.4,
  jitterMs: 0.1,
  lossRate: 0,
  probes: { sent: 40, answered: 40, window: 40 },
  mtu: 1500,
  form: 'whole',
  txBytes: 1,
  rxBytes: 2,
  txBps: 3,
  rxBps: 4,
  suspect: false,
  lagMs: 1.5,
  since: 1_790_000_000_000,
}

const TO: readonly ToProcess[] = [
  { type: 'hello', protocol: P2P_PROTOCOL, version: '0.1.0' },
  { type: 'session', hostId: 2, attempt, secret, candidates, validUntil: 1_790_000_000_000 },
  { type: 'candidates', hostId: 2, attempt, candidates: [] },
  { type: 'promote', hostId: 2, attempt, generation: 1 },
  { type: 'demote', hostId: 2, generation: 2, reason: 'slower' },
  { type: 'end', hostId: 2, reason: 'the host was revoked' },
  { type: 'gatewayPath', hostId: 2, isUp: true, rttMs: 0.5 },
  { type: 'gatewayPath', hostId: 2, isUp: false },
  { type: 'probeNow' },
  { type: 'probeNow', hostId: 2 },
  { type: 'findAddresses', servers: ['192.0.2.1:3478', '[2001:db8::1]:3478'], everyMs: 25_000 },
  { type: 'stop', reason: 'uninstalled' },
]

const FROM: readonly FromProcess[] = [
  {
    type: 'hello',
    protocol: P2P_PROTOCOL,
    version: '0.1.0',
    pid: 4711,
    hostId: 1,
    device: { ifname: 'flatnet-p2p' },
    udp: { port: 7443, problem: 'port 7443 is taken' },
    features: { cipher: 'aes-256-gcm', gso: true, gro: true, uso: true, record: true },
    sessions: [session],
  },
  { type: 'state', session },
  { type: 'promoted', hostId: 2, attempt, generation: 1 },
  { type: 'notPromoted', hostId: 2, attempt, generation: 1, reason: 'not proven' },
  { type: 'ended', hostId: 2, attempt, reason: 'keys expired' },
  { type: 'observed', hostId: 2, address: '198.51.100.1:40000' },
  {
    type: 'ownAddresses',
    hosts: ['10.0.0.1:7443', '[fd00::1]:7443'],
    mapped: [{ server: '192.0.2.1:3478', address: '198.51.100.1:40000' }],
  },
  { type: 'device', ifname: 'flatnet-p2p', problem: 'it was deleted' },
  { type: 'udp', port: 0, problem: 'port 7443 is taken' },
  { type: 'networkChanged', what: 'address' },
  { type: 'log', level: 'warn', msg: 'p2p device was lost', fields: { ifname: 'flatnet-p2p' } },
  { type: 'refused', problem: 'hello: protocol is 2' },
]

const demoted = (reason: DemotionReason): FromProcess => ({
  type: 'demoted',
  hostId: 2,
  attempt,
  generation: 2,
  reason,
})

t.test('every message comes back as it was sent', async (t) => {
  for (const message of TO) t.same(parseToProcess(lineOf(message)), message, message.type)
  for (const message of [...FROM, ...DEMOTION_REASONS.map(demoted)])
    t.same(parseFromProcess(lineOf(message)), message, message.type)
})

const wrong = (line: unknown): string => (typeof line === 'string' ? line : JSON.stringify(line))

t.test('a line of another protocol is refused with field, value and what is allowed', async (t) => {
  const cases: [name: string, line: unknown, message: RegExp][] = [
    ['no JSON', '{', /must be one JSON object/],
    ['no object', '[]', /type is absent: must be one of hello/],
    ['no type', {}, /type is absent/],
    ['a type of no message', { type: 'fly' }, /type is "fly": must be one of/],
    ['a type of the object itself', { type: 'toString' }, /type is "toString"/],
    ['a type that is no text', { type: 7 }, /type is 7/],
    [
      'a field is missing',
      { type: 'hello', protocol: P2P_PROTOCOL },
      /hello: version is absent: must be text/,
    ],
    ['a host that is no number', { type: 'end', hostId: '2', reason: '' }, /hostId is "2": must be a whole/],
    ['a host 0', { type: 'end', hostId: 0, reason: '' }, /hostId is 0/],
    [
      'an attempt in capitals',
      { ...TO[3], attempt: 'ABCDEF0123456789' },
      /attempt is "ABC.*16 digits of hex/,
    ],
    ['a short secret', { ...TO[1], secret: 'ab' }, /secret is "ab": must be 128 digits/],
    ['a candidate that is no address', { ...TO[2], candidates: [{ address: 'x:1' }] }, /candidates is/],
    ['a candidate on port 0', { ...TO[2], candidates: [{ address: '1.2.3.4:0' }] }, /candidates is/],
    ['more candidates than 64', { ...TO[2], candidates: Array(65).fill(candidates[0]) }, /at most 64/],
    ['a generation below 0', { ...TO[3], generation: -1 }, /generation is -1/],
  ]
  for (const [name, line, message] of cases) t.throws(() => parseToProcess(wrong(line)), { message }, name)
})

t.test('a secret is never in the words of a refusal', async (t) => {
  t.throws(() => parseToProcess(JSON.stringify({ ...TO[1], secret: `${secret}x` })), {
    message: /secret is 131 characters/,
  })
  t.throws(() => parseToProcess(JSON.stringify(TO[1]).slice(1)), { message: /a line is \d+ characters/ })
})

t.test('fields of a newer version are dropped', async (t) => {
  t.same(parseToProcess('{"type":"probeNow","colour":"red"}'), { type: 'probeNow' })
})

t.test('no text throws anything but a ProtocolError', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
      try {
        parseToProcess(line)
      } catch (err) {
        if (!(err instanceof ProtocolError)) throw err
      }
    }),
  )
})

t.test('lines are the same however they are cut into pieces', async () => {
  const whole = Buffer.from(TO.map(lineOf).join(''))
  const expected = TO.map((message) => lineOf(message).slice(0, -1))
  fc.assert(
    fc.property(fc.array(fc.nat(whole.byteLength)), (cuts) => {
      const splitter = new LineSplitter()
      const at = [0, ...cuts.sort((a, b) => a - b), whole.byteLength]
      const lines = at.slice(1).flatMap((end, i) => splitter.push(whole.subarray(at[i], end)))
      return JSON.stringify(lines) === JSON.stringify(expected)
    }),
  )
})

t.test('a line without an end is not kept for ever', async (t) => {
  const splitter = new LineSplitter()
  const piece = Buffer.alloc(65_536, 0x20)
  for (let sent = 0; sent < MAX_LINE_BYTES; sent += piece.byteLength) splitter.push(piece)
  t.throws(() => splitter.push(Buffer.from(' ')), { name: 'ProtocolError' })
})

t.test('a line that is too long is refused although its end is there', async (t) => {
  const splitter = new LineSplitter()
  t.throws(() => splitter.push(Buffer.from(`${' '.repeat(MAX_LINE_BYTES + 1)}\n`)), { name: 'ProtocolError' })
})
