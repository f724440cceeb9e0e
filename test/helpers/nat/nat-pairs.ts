/** A cluster whose hosts sit behind routers of several kinds, with one host in public that all of them reach. */
import type { Test } from 'tap'
import { joinedHosts, type TestHost, type TestNet } from '../cluster/hosts.ts'
import { type NatKind, putBehindNat } from './nat-router.ts'

export interface NatHost {
  readonly host: TestHost
  readonly kind: NatKind
}

export interface NatCluster {
  readonly net: TestNet
  /** In public, reached by all. */
  readonly hub: TestHost
  readonly behind: readonly NatHost[]
}

/**
 * Host 1 is the hub, hosts 2 and up get these kinds in order.
 * @param beforeStart changes the network further
 */
export async function natCluster(
  t: Test,
  kinds: readonly NatKind[],
  beforeStart: (net: TestNet) => void | Promise<void> = () => {},
): Promise<NatCluster> {
  const net = await joinedHosts(t, kinds.length + 1, {
    p2p: true,
    async arrange(net) {
      for (const [i, kind] of kinds.entries()) {
        const { index, ns } = net.host(i + 2)
        ns.exec('ip', 'link', 'del', 'eth0')
        await putBehindNat(t, net.lan, ns, index, kind)
      }
      await beforeStart(net)
    },
  })
  return { net, hub: net.host(1), behind: kinds.map((kind, i) => ({ host: net.host(i + 2), kind })) }
}
