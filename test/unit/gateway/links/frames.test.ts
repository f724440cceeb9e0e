/** gateway/links/frames and message-cost: what a peer sends is cut, passed over or refused within bounds. */

import fc from 'fast-check'
import t from 'tap'
import {
  type ControlFrame,
  decodeMessage,
  encodeFrame,
  encodeMessage,
  FrameReader,
  FrameType,
  ProtocolError,
} from '../../../../gateway/links/frames.ts'
import { whyCostly } from '../../../../gateway/links/message-cost.ts'
import { wireRecord } from '../../../../gateway/replication/record.ts'

const MIB = 1024 * 1024

/** What a reader makes of a stream that comes in chunks of these sizes, over and over. */
function readIn(stream: Buffer, sizes: readonly number[], reader = new FrameReader()): ControlFrame[] {
  const frames: ControlFrame[] = []
  for (let at = 0, n = 0; at < stream.length; n++) {
    const size = sizes[n % sizes.length]!
    frames.push(...reader.push(stream.subarray(at, at + size)))
    at += size
  }
  return frames
}

t.test('frames come out as they went in, whatever the chunks', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
      (bodies, sizes) => {
        const stream = Buffer.concat(bodies.map((body) => encodeFrame(FrameType.ping, Buffer.from(body))))
        const frames = readIn(stream, sizes)
        t.ok(frames.every(({ type, skipped }) => type === FrameType.ping && skipped === undefined))
        return Buffer.concat(frames.map(({ body }) => body)).equals(Buffer.concat(bodies))
      },
    ),
  )
})

t.test('a long body is passed over, in any chunks, and what follows it is read', async (t) => {
  const long = encodeFrame(FrameType.message, Buffer.alloc(MIB + 1))
  const stream = Buffer.concat([long, encodeMessage({ type: 'x' }), long, encodeMessage({ type: 'y' })])
  for (const sizes of [[stream.length], [1_000], [65_536, 3]]) {
    const frames = readIn(stream, sizes)
    t.same(
      frames.map(({ body, skipped }) => skipped ?? decodeMessage(body).type),
      [MIB + 1, 'x', MIB + 1, 'y'],
    )
  }
  t.equal(readIn(long, [MIB], new FrameReader(2 * MIB))[0]?.body.length, MIB + 1, 'a reader may take more')
  t.throws(() => new FrameReader().push(Buffer.of(2, 0, 0, 1, 1)), ProtocolError, 'beyond any version')
})

t.test('what would cost too much is refused before it is parsed', async (t) => {
  const message = (value: string): Buffer => Buffer.from(`{"type":"x","x":${value}}`)
  const cases = [
    ['objects', `[${'{},'.repeat(17_000)}0]`, /keys and objects/],
    ['keys', `{${Array.from({ length: 17_000 }, (_, n) => `"k${n}":1`).join()}}`, /keys and objects/],
    ['arrays', `[${'[],'.repeat(33_000)}0]`, /arrays/],
    ['depth', '['.repeat(33) + ']'.repeat(33), /deep/],
  ] as const
  for (const [name, value, why] of cases) {
    t.match(whyCostly(message(value)), why, name)
    t.throws(() => decodeMessage(message(value)), { name: 'ProtocolError', message: why })
  }
  t.equal(whyCostly(message(JSON.stringify('{[:"\\'.repeat(50_000)))), undefined, 'strings count for nothing')
  t.equal(whyCostly(Buffer.from('{"type":"\\')), undefined, 'a torn string ends with the text')
})

t.test('what peers of this version and the last one send is read', async (t) => {
  const ports = Array.from({ length: 16_384 }, (_, n) => ({
    protocol: 'sctp' as const,
    hostIP: '192.168.100.100',
    hostPort: 40_000 + (n % 20_000),
    containerPort: 40_000,
  }))
  const record = wireRecord({
    network: 'n'.repeat(64),
    containerId: 'c'.repeat(64),
    ifname: 'eth0',
    hostId: 1,
    ips: ['10.100.1.10/24'],
    mac: '0a:64:0a:64:01:0a',
    name: 'web',
    aliases: [],
    ports,
    httpPort: 80,
    createdAt: '2026-01-01T00:00:00.000Z',
  })
  const page = encodeMessage({ type: 'registry.table', records: [record] })
  t.match(
    readIn(page, [65_536]).map(({ body }) => decodeMessage(body)),
    [{ type: 'registry.table' }],
  )
  const member = {
    hostId: 1,
    keyId: 'k',
    formerKeys: [],
    name: 'n',
    endpoints: ['10.0.0.1:7443'],
    admits: false,
  }
  const members = Array.from({ length: 1_000 }, () => ({
    ...member,
    state: 'active',
    joinedAt: '',
    changedAt: '',
  }))
  t.match(decodeMessage(Buffer.from(JSON.stringify({ type: 'cluster.members', members }))), {
    members: Array,
  })
})
