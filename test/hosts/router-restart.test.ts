/** Routers that were started anew and have forgotten the mapping: it is there again, by their announcement or without. */
import t, { type Test } from 'tap'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { putBehindNat } from '../helpers/nat/nat-router.ts'
import { MAPPED_NETWORK, type PortMapper, portMapper } from '../helpers/nat/port-mapper.ts'
import { timeUntil, waitFor } from '../helpers/run/wait.ts'

const PATIENCE_MS = 60_000
/** The router is asked every 2 min, and a refused question takes seconds. */
const SILENT_WITHIN_MS = 130_000
/** An announcement makes the gateway ask after 5 s at most. */
const ANNOUNCED_WITHIN_MS = 20_000
/**
 * How long a router has its mapping before it is started anew: by RFC 6887, 8.5, a restart within 2 s cannot be told from
 * clocks that differ, and by UPnP the host has asked once by then whether the mapping is there.
 */
const STANDS_MS = 10_000
/** Of PCP and NAT-PMP, and of UPnP. */
const GROUPS = ['224.0.0.1', '239.255.255.250'] as const

const ANEW = 'router was started anew'

interface Mapped {
  readonly host: TestHost
  readonly mapper: PortMapper
  /** As the router has it. */
  readonly mapping: string
}

/** Host 1 is in public; 2 is behind a router with PCP, NAT-PMP and UPnP, 3 and 4 behind ones with UPnP alone. */
async function mappedHosts(t: Test): Promise<Mapped[]> {
  const all: Mapped[] = []
  await joinedHosts(t, 4, {
    p2p: true,
    async arrange(net) {
      net.host(1).ns.exec('ip', 'route', 'add', MAPPED_NETWORK, 'dev', 'eth0')
      for (const index of [2, 3, 4]) {
        const host = net.host(index)
        host.ns.exec('ip', 'link', 'del', 'eth0')
        const { router, hostIp } = await putBehindNat(t, net.lan, host.ns, index, 'symmetric')
        const mapper = await portMapper(t, router, 100 + index, { hasPcp: index === 2 })
        all.push({ host, mapper, mapping: `7443 -> ${hostIp}:7443` })
      }
    },
  })
  return all
}

/** @returns how many ms it took until the host noticed and had its mapping again */
async function takes(one: Mapped, withinMs: number): Promise<number> {
  // The log first: each look at the router starts a program.
  const ms = await timeUntil('the restart is noticed', withinMs, () => one.host.logged(ANEW).length > 0)
  return ms + (await timeUntil('mapped again', withinMs, () => isMapped(one)))
}

const isMapped = ({ mapper, mapping }: Mapped): boolean => `${mapper.mappings()}` === mapping

/** This host hears no announcement, as behind a firewall. */
function deafen({ ns }: TestHost): void {
  for (const group of GROUPS)
    ns.exec('nft', 'insert', 'rule', 'inet', 'cut', 'in', 'ip', 'daddr', group, 'drop')
}

t.test('a router that was started anew', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  const all = await mappedHosts(t)
  const [byPcp, byUpnp, unheard] = all as [Mapped, Mapped, Mapped]
  const protocols = await waitFor('all have a mapping', PATIENCE_MS, async () => {
    const status = await Promise.all(all.map(({ host }) => host.api('/v1/status')))
    return (
      status.every(({ portMapping }) => portMapping.external) && status.map((s) => s.portMapping.protocol)
    )
  })
  t.same(protocols, ['pcp', 'upnp', 'upnp'])
  t.ok(all.every(isMapped), 'their routers have them')
  deafen(unheard.host)
  const mappedAt = performance.now()
  await waitFor('the mappings have stood', PATIENCE_MS, () => performance.now() - mappedAt > STANDS_MS)

  t.same(await unheard.mapper.restart(), [], 'it has forgotten the mapping')
  const silent = takes(unheard, SILENT_WITHIN_MS)
  for (const [name, one] of Object.entries({ 'by PCP': byPcp, 'by UPnP': byUpnp }))
    await t.test(`${name}: it is noticed by its announcement`, async (t) => {
      t.same(await one.mapper.restart(), [], 'it has forgotten the mapping')
      const ms = await takes(one, ANNOUNCED_WITHIN_MS)
      t.ok(ms <= ANNOUNCED_WITHIN_MS, `${Math.round(ms)} ms (bound ${ANNOUNCED_WITHIN_MS})`)
      t.match(one.host.logged(ANEW), { length: 1 })
      const { portMapping } = await one.host.api('/v1/status')
      t.match(portMapping, { external: `${one.mapper.externalIp}:7443` })
    })
  await t.test('by UPnP, unheard: it is noticed within 2 min', async (t) => {
    const ms = await silent
    t.ok(ms <= SILENT_WITHIN_MS, `${Math.round(ms)} ms (bound ${SILENT_WITHIN_MS})`)
    t.match(unheard.host.logged(ANEW), { length: 1 })
  })
})
