/**
 * ADD's wait for the bridge port: when it is over, what is sent to the container arrives
 * (docs/architecture/cni.md#p14).
 */
import { close, SOCK_DGRAM, sendto, socket } from 'netlink-ts/libc.ts'
import { inNetns } from 'netlink-ts/netns.ts'
import { AF_INET, addrAddRequest } from 'netlink-ts/route/addr.ts'
import { bridgeAddRequest, type Link, linkByName } from 'netlink-ts/route/link.ts'
import t from 'tap'
import { ipv4Bytes, macOf } from '../../core/addr.ts'
import { sysctlEnsure } from '../../kernel/sysctl.ts'
import type { BridgePlan } from '../../plugin/bridge.ts'
import { Undo } from '../../plugin/undo.ts'
import { configureContainer, containerIndex, createVeth, openPort } from '../../plugin/veth.ts'
import { type Live, live } from '../helpers/kernel/netlink-live.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** A wait that ends too soon loses the first packet of one in ten. */
const PORTS = 80

/** Port `i` on a bridge of its own: what others send would be lost there before its time. */
function planFor(i: number) {
  const bridgeIp = 0x0a640001 + i * 256
  const ip = bridgeIp + 9
  return {
    dataDir: '/none',
    bridge: `br${i}`,
    bridgeIp,
    bridgeMac: macOf(bridgeIp),
    prefixLen: 24,
    mtu: 1500,
    hostIfname: `fn${i}`,
    hostMac: `fe${macOf(ip).slice(2)}`,
    alias: `flatnet net c${i} eth${i} -`,
    ifname: `eth${i}`,
    mac: macOf(ip),
    ip,
    hairpin: false,
    antiSpoof: true,
    routes: [],
  }
}

function bridgeFor({ route: host, fd }: Live, { bridge: name, bridgeIp, prefixLen }: BridgePlan): Link {
  host.execute(bridgeAddRequest({ name, up: true }))
  const link = linkByName(host, name)
  if (link === undefined) throw new Error(`no bridge ${name}`)
  // A question that is lost stays unanswered.
  inNetns(fd, () => sysctlEnsure(`net/ipv4/neigh/${name}/retrans_time_ms`, '600000'))
  const address = ipv4Bytes(bridgeIp)
  host.execute(addrAddRequest({ index: link.index, family: AF_INET, address, prefixLen }))
  return link
}

interface Neighbour {
  readonly dst: string
  /** Absent while nobody answered. */
  readonly lladdr?: string
}

/** `struct sockaddr_in`, port 9. */
const toPort9 = (ip: number): Uint8Array =>
  Uint8Array.of(AF_INET, 0, 0, 9, ...ipv4Bytes(ip), 0, 0, 0, 0, 0, 0, 0, 0)

t.test('the first packet to a container arrives, however soon it is sent', { skip: needsRoot }, async (t) => {
  const host = await live(t)
  const container = await live(t)
  const udp = inNetns<number>(host.fd, () => socket(AF_INET, SOCK_DGRAM, 0))
  t.teardown(() => close(udp))
  for (let i = 0; i < PORTS; i++) {
    const plan = planFor(i)
    const bridge = bridgeFor(host, plan)
    createVeth(host.route, container.fd, bridge, plan, new Undo())
    configureContainer(container.route, container.fd, containerIndex(container.route, plan), plan)
    openPort(host.route, bridge, plan)
    // The container's MAC is asked for first: that is the packet.
    sendto(udp, Uint8Array.of(0), 1, 0, toPort9(plan.ip))
  }
  const unanswered = () =>
    host
      .json<Neighbour[]>('ip', '-j', 'neigh')
      .filter(({ lladdr }) => lladdr === undefined)
      .map(({ dst }) => dst)
  const isOver = async () => unanswered().length === 0
  await waitFor('all answers', 1_000, isOver).catch(() => {})
  t.same(unanswered(), [])
})
