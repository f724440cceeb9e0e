/** What the tunnel counts, for Prometheus: packets and bytes by peer, drops by peer and reason. */

import type { Metrics } from '../base/metrics.ts'
import type { PeerStats } from './tunnel/peer.ts'
import type { Tunnel } from './tunnel/tunnel.ts'

export function tunnelGauges(metrics: Metrics, tunnel: Tunnel): void {
  const each = (name: string, help: string, value: (peer: PeerStats) => number): void =>
    metrics.gaugeEach(name, help, () =>
      tunnel.stats().peers.map((peer) => [{ host: String(peer.hostId) }, value(peer)]),
    )
  each('flatnet_tunnel_sent_packets', 'Packets sent to the peer since start', (p) => p.sentPackets)
  each('flatnet_tunnel_sent_bytes', 'Of them, with frame headers, before TLS', (p) => p.sentBytes)
  each('flatnet_tunnel_received_packets', 'Packets of the peer given to the kernel', (p) => p.receivedPackets)
  each('flatnet_tunnel_received_bytes', 'Of them, with virtio headers', (p) => p.receivedBytes)
  each('flatnet_tunnel_queued_bytes', "What waits for the peer's connection", (p) => p.queuedBytes)
  metrics.gaugeEach(
    'flatnet_tunnel_dropped_packets',
    'Packets dropped, by peer (0: for no peer) and reason',
    () => {
      const { peers, drops } = tunnel.stats()
      return [{ hostId: 0, drops }, ...peers].flatMap((of) =>
        Object.entries(of.drops).map(
          ([reason, packets]) => [{ host: String(of.hostId), reason }, packets] as const,
        ),
      )
    },
  )
}
