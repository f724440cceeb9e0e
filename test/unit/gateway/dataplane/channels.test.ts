/**
 * gateway/dataplane/channels: which connection a host's packets take, what its two ends tell each other, and when a
 * silent one ends.
 */
import { type Duplex, duplexPair } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { parseIpv4 } from '../../../../core/addr.ts'
import { silentLog } from '../../../../core/log.ts'
import { ChannelTable } from '../../../../gateway/dataplane/channels.ts'
import { RelaySignals } from '../../../../gateway/dataplane/relay/signals.ts'
import { encodeFrame, FrameDecoder, FrameType } from '../../../../gateway/dataplane/tunnel/frame.ts'
import { Tunnel } from '../../../../gateway/dataplane/tunnel/tunnel.ts'
import { packet } from '../../../helpers/cluster/tunnel-packet.ts'
import { turnsUntil } from '../../../helpers/run/turns.ts'
import { SimTime } from '../../../helpers/sim/network.ts'

interface End {
  /** Ours, as the peers or the relays give it. */
  readonly socket: TLSSocket
  readonly far: Duplex
  /** Frames that came out at the far end, e.g. `DATA`, `CTRL {"uso":true}`. */
  readonly heard: string[]
}

const NAMES = new Map<number, string>(Object.entries(FrameType).map(([name, type]) => [type, name]))

function simulation(t: Test, uso = true) {
  const time = new SimTime()
  const written: Uint8Array[] = []
  let deviceUso: boolean | undefined
  const say = (bytes: Uint8Array): void => {
    tunnel.sink.buffer().set(bytes)
    tunnel.sink.packet(bytes.byteLength)
  }
  const tunnel: Tunnel = new Tunnel({
    hostId: 1,
    supernet: { base: parseIpv4('10.100.0.0') ?? 0, prefixLen: 16 },
    hostPrefix: 24,
    device: {
      read: () => -11,
      write: (bytes) => written.push(Uint8Array.from(bytes)),
      requestUso: (want) => {
        deviceUso = want
      },
    },
    other: (channel, head, payload) => channels.onFrame(channel, head, payload),
  })
  const channels = new ChannelTable({
    tunnel,
    scheduler: time.scheduler(() => 0),
    log: silentLog,
    signals: new RelaySignals(),
    takesUso: () => uso,
  })
  t.teardown(() => channels.close())
  const end = (): End => {
    const [near, far] = duplexPair()
    const heard: string[] = []
    const decoder = new FrameDecoder((head, bytes, start, stop) => {
      const text = head.type === FrameType.CTRL ? ` ${Buffer.from(bytes.subarray(start, stop))}` : ''
      heard.push(`${NAMES.get(head.type)}${text}`)
    })
    far.on('data', (chunk: Buffer) => decoder.push(chunk)).on('error', () => {})
    near.on('error', () => {})
    return { socket: Object.assign(near, { setNoDelay() {} }) as unknown as TLSSocket, far, heard }
  }
  const send = (to: End, type: number, payload: Uint8Array): void => {
    to.far.write(encodeFrame({ type, flags: 0, srcHost: 2, dstHost: 1, hops: 0 }, payload))
  }
  return { time, tunnel, channels, end, send, say, written, uso: () => deviceUso }
}

const data = (end: End) => end.heard.filter((frame) => frame === 'DATA').length

t.test('direct, by a relay, direct again: what was chosen is used as soon as it stands', async (t) => {
  const { channels, end, say } = simulation(t)
  const [direct, relayed, again] = [end(), end(), end()]
  channels.choose(2, { kind: 'gateway' })
  channels.directUp(2, direct.socket)
  say(packet())
  await turnsUntil('a packet by the direct channel', () => data(direct) === 1)
  channels.choose(2, { kind: 'relay', hostId: 3 })
  say(packet())
  await turnsUntil('it stays until the other stands', () => data(direct) === 2)
  channels.relayUp(2, 3, relayed.socket)
  say(packet())
  await turnsUntil('a packet by the relay', () => data(relayed) === 1)
  channels.directDown(2)
  channels.directUp(2, again.socket)
  say(packet())
  await turnsUntil('not back before it is chosen', () => data(relayed) === 2)
  channels.choose(2, { kind: 'gateway' })
  say(packet())
  await turnsUntil('back', () => data(again) === 1)
  t.equal(data(direct), 2)
  t.equal(data(relayed), 2)
})

t.test('a relay that was chosen and does not stand holds up nothing that could go straight', async (t) => {
  const { channels, end, say } = simulation(t)
  const [direct, relayed] = [end(), end()]
  channels.choose(2, { kind: 'relay', hostId: 3 })
  channels.directUp(2, direct.socket)
  say(packet())
  await turnsUntil('a packet by the direct channel', () => data(direct) === 1)
  channels.relayUp(2, 3, relayed.socket)
  say(packet())
  await turnsUntil('a packet by the relay', () => data(relayed) === 1)
  relayed.socket.destroy()
  await turnsUntil('straight again', () => {
    say(packet())
    return data(direct) > 1
  })
})

t.test('each end says what its kernel takes, and is believed', async (t) => {
  const { channels, end, send, uso } = simulation(t)
  const channel = end()
  channels.directUp(2, channel.socket)
  await turnsUntil('our greeting', () => channel.heard.includes('CTRL {"uso":true}'))
  t.equal(uso(), false, 'nothing heard yet')
  send(channel, FrameType.CTRL, Buffer.from('{"uso":true,"later":[1]}'))
  await turnsUntil('both take it', () => uso() === true)
  for (const nonsense of ['', '[]', '{"uso":"yes"}', '{', `{"uso":false,"x":"${'y'.repeat(2_000)}"}`])
    send(channel, FrameType.CTRL, Buffer.from(nonsense))
  send(channel, FrameType.CTRL, Buffer.from('{"uso":false}'))
  await turnsUntil('the last that made sense counts', () => uso() === false)
  channels.sendHellos()
  await turnsUntil('told again', () => channel.heard.filter((f) => f.startsWith('CTRL')).length === 2)
  t.notOk(channel.socket.destroyed)
})

t.test('a ping is answered with what it brought', async (t) => {
  const { channels, end, send } = simulation(t)
  const channel = end()
  channels.directUp(2, channel.socket)
  send(channel, FrameType.PING, Buffer.alloc(9))
  send(channel, FrameType.PING, Buffer.alloc(8, 7))
  await turnsUntil('a pong', () => channel.heard.includes('PONG'))
  t.equal(channel.heard.filter((f) => f === 'PONG').length, 1, 'and not one that is too long')
})

t.test('a relayed channel is measured, and ends when its other end is silent', async (t) => {
  const { channels, end, send, time } = simulation(t)
  const channel = end()
  channels.relayUp(2, 3, channel.socket)
  channels.choose(2, { kind: 'relay', hostId: 3 })
  await turnsUntil('a ping', () => channel.heard.includes('PING'))
  time.run(40)
  const pong = Buffer.alloc(8)
  pong.writeDoubleBE(0)
  send(channel, FrameType.PONG, pong)
  await turnsUntil('it is measured', () => channels.rttMs(2, { kind: 'relay', hostId: 3 }) === 40)
  pong.writeDoubleBE(-10_000)
  send(channel, FrameType.PONG, pong)
  time.run(2_900)
  send(channel, FrameType.PONG, Buffer.alloc(3))
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(channels.rttMs(2, { kind: 'relay', hostId: 3 }), 40, 'what was never asked says nothing')
  time.run(2_900)
  t.notOk(channel.socket.destroyed, 'heard 2.9 s ago')
  time.run(1_200)
  t.ok(channel.socket.destroyed)
  await turnsUntil('it is gone', () => channels.rttMs(2, { kind: 'relay', hostId: 3 }) === undefined)
})

t.test('a direct channel is not pinged: its link has a heartbeat of its own', async (t) => {
  const { channels, end, time } = simulation(t)
  const channel = end()
  channels.directUp(2, channel.socket)
  time.run(10_000)
  await turnsUntil('the greeting', () => channel.heard.length > 0)
  t.notOk(channel.heard.includes('PING'))
  t.notOk(channel.socket.destroyed)
})

t.test('a peer that sends no frames loses its connection, and no other peer does', async (t) => {
  const { channels, end, send, written } = simulation(t)
  const [bad, good] = [end(), end()]
  channels.directUp(2, bad.socket)
  channels.relayUp(2, 3, good.socket)
  bad.far.write(Buffer.alloc(12, 0xff))
  await turnsUntil('closed', () => bad.socket.destroyed)
  send(good, FrameType.DATA, packet({ src: '10.100.2.10', dst: '10.100.1.10' }))
  await turnsUntil('the other channel is heard', () => written.length === 1)
})
