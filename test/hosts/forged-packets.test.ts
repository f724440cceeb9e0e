/**
 * What a member may not send through the tunnel: forged sources, foreign destinations, broken virtio headers, no frames
 * at all.
 */
import { spawn } from 'node:child_process'
import t from 'tap'
import { encodeFrame, FrameType } from '../../gateway/dataplane/tunnel/frame.ts'
import { hostContainer, ipv4Received } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { checksummed, type PacketFields, packet, tso } from '../helpers/cluster/tunnel-packet.ts'
import { hostilePackets } from '../helpers/hostile/hostile-packets.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** `{ foreignSource: 2 }`: packets of the peer that the host's tunnel dropped. */
async function drops(host: TestHost, peer: number): Promise<Record<string, number>> {
  const { stdout } = await host.exec(['curl', '-s', '--unix-socket', host.socket, 'http://flatnet/metrics'])
  const of = new RegExp(`^flatnet_tunnel_dropped_packets\\{host="${peer}",reason="(\\w+)"\\} (\\d+)$`, 'gm')
  return Object.fromEntries([...stdout.matchAll(of)].map(([, reason, n]) => [reason, Number(n)]))
}

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const cherry = await hostContainer(t, one, 'cherry')
  // With it the container's own port drops the forged packets.
  const apple = await hostContainer(t, two, 'apple', { conf: { antiSpoof: false } })
  const berry = await hostContainer(t, three, 'berry')

  await t.test('a container that takes the address of another host’s', async (t) => {
    apple.ns.exec('ip', 'addr', 'add', '10.100.3.99/32', 'dev', 'lo')
    const before = await drops(two, 0)
    apple.ns.exec('sh', '-c', `busybox ping -c 3 -i 0.1 -W 1 -I 10.100.3.99 ${cherry.ip} || true`)
    const after = await drops(two, 0)
    t.equal((after['foreignSource'] ?? 0) - (before['foreignSource'] ?? 0), 3, 'stopped on its own host')
  })

  await t.test('a gateway that has gone bad', async (t) => {
    await two.kill()
    await waitFor('host 1 has let go of host 2', 10_000, async () => (await one.linksUp()).length === 1)
    const hostile = spawn('ip', [
      'netns',
      'exec',
      two.ns.name,
      ...hostilePackets(two.dataDir, 1, '192.0.2.1:7443'),
    ])
    t.teardown(() => hostile.kill('SIGKILL'))
    let said = ''
    hostile.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    hostile.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await waitFor('it is in', 10_000, () => said.startsWith('open'))
    const send = (bytes: Uint8Array): void =>
      void hostile.stdin.write(`${Buffer.from(bytes).toString('hex')}\n`)
    const frame = (payload: Uint8Array, over: object = {}): Uint8Array =>
      encodeFrame({ type: FrameType.DATA, flags: 0, srcHost: 2, dstHost: 1, hops: 0, ...over }, payload)
    /** The host's kernel must have no reason of its own to drop one. */
    const inOrder = (fields: PacketFields) => checksummed(packet(fields))
    const superPacket = (fields: PacketFields) => checksummed(tso(fields))
    const to = { dst: cherry.ip }
    const quiet = ipv4Received(cherry)
    for (const bad of [
      inOrder({ ...to, src: berry.ip }),
      inOrder({ ...to, src: cherry.ip }),
      inOrder({ ...to, src: '192.0.2.3' }),
      inOrder({ ...to, src: '127.0.0.1' }),
      inOrder({ src: apple.ip, dst: '127.0.0.1' }),
      inOrder({ src: apple.ip, dst: '192.0.2.1' }),
      inOrder({ src: apple.ip, dst: berry.ip }),
    ])
      send(frame(bad))
    send(frame(inOrder({ ...to, src: berry.ip }), { srcHost: 3 }))
    send(frame(superPacket({ ...to, src: apple.ip, csumStart: 0, csumOffset: 12 })))
    send(frame(superPacket({ ...to, src: apple.ip, csumStart: 65_000 })))
    send(frame(superPacket({ ...to, src: apple.ip, gsoSize: 0 })))
    send(frame(superPacket({ ...to, src: apple.ip, gsoType: 77 })))
    send(frame(inOrder({ ...to, src: apple.ip, totalLength: 40_000 })))
    send(frame(Uint8Array.of(1, 2, 3)))
    const counted = await waitFor('all are counted', 5_000, async () => {
      const found = await drops(one, 2)
      return Object.values(found).reduce((sum, n) => sum + n, 0) >= 14 && found
    })
    t.match(counted, { foreignSource: 4, foreignDestination: 3, frameHost: 1 })
    t.equal(
      Object.values(counted).reduce((sum, n) => sum + n, 0),
      14,
      JSON.stringify(counted),
    )
    t.equal(ipv4Received(cherry), quiet, 'nothing of it reached the container')
    send(frame(inOrder({ ...to, src: apple.ip, protocol: 17 })))
    await waitFor('what is in order does', 5_000, () => ipv4Received(cherry) > quiet)
    send(Buffer.alloc(12, 0xff))
    await waitFor('it is cut off', 5_000, () => said.includes('closed'))
    t.equal(cherry.ns.exec('busybox', 'wget', '-q', '-O', '-', `http://${berry.ip}/`), 'berry on host 3\n')
    t.same((await one.api('/v1/status')).tunnel, {
      device: 'flatnet-gw',
      offloads: 'tcp+ecn+udp',
      problem: null,
    })
  })

  await t.test('containers cannot speak to gateways of other hosts', async (t) => {
    await two.start()
    await waitFor('the link is back', 10_000, async () => (await one.linksUp()).length === 2)
    const curl = async (endpoint: string) => {
      const argv = ['curl', '-sk', '-m', '3', '-o', '/dev/null', '-w', '%{errormsg}', `https://${endpoint}/`]
      return two.exec(['ip', 'netns', 'exec', apple.ns.name, ...argv])
    }
    t.equal((await curl('10.100.1.1:7443')).rc, 7, 'refused by address of the tunnel')
    // By the underlay it would come from its host's address, which has business there.
    t.equal((await curl('192.0.2.1:7443')).rc, 7, 'refused by address of the LAN')
  })
})
