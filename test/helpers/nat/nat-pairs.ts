/** A cluster whose hosts sit behind routers of several kinds, with one host in public that all of them reach. */
import type { Test } from 'tap'
import { joinedHosts, type TestHost, type TestNet } from '../cluster/hosts.ts'
import { type Behind, type NatKind, putBehindNat, putBeside } from './nat-router.ts'

export interface NatHost {
  readonly host: TestHost
  readonly kind: NatKind
  readonly behind: Behind
}

export interface NatCluster {
  readonly net: TestNet
  /** In public, reached by all. */
  readonly hub: TestHost
  readonly hosts: readonly NatHost[]
}

/**
 * Host 1 is the hub, hosts 2 and up get these kinds in order. A second `hairpin` goes behind the router of the first.
 * @param beforeStart changes the network or the hosts' files further
 */
export async function natCluster(
  t: Test,
  kinds: readonly NatKind[],
  beforeStart: (net: TestNet) => void | Promise<void> = () => {},
): Promise<NatCluster> {
  const hosts: NatHost[] = []
  const net = await joinedHosts(t, kinds.length + 1, {
    p2p: true,
    async arrange(net) {
      for (const [i, kind] of kinds.entries()) {
        const host = net.host(i + 2)
        const { index, ns } = host
        ns.exec('ip', 'link', 'del', 'eth0')
        const first = kind === 'hairpin' ? hosts.find((other) => other.kind === kind) : undefined
        const behind =
          first === undefined
            ? await putBehindNat(t, net.lan, ns, index, kind)
            : putBeside(first.behind, ns, index)
        hosts.push({ host, kind, behind })
      }
      await beforeStart(net)
    },
  })
  return { net, hub: net.host(1), hosts }
}
