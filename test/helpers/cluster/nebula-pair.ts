/**
 * Two hosts whose gateways run Nebula, without UDP paths of their own, and a container on each.
 *
 * It is Debian's Nebula, or that of the folder which FLATNET_NEBULA names, with `nebula` and `nebula-cert`.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { parse, stringify } from 'yaml'
import { canSkipRoutes, type NebulaVersion, parseVersion } from '../../../gateway/dataplane/nebula/version.ts'
import { run } from '../kernel/netns.ts'
import { waitFor } from '../run/wait.ts'
import { hostContainer } from './host-container.ts'
import { type HostsOptions, joinedHosts, type TestHost, type TestNet } from './hosts.ts'
import { metricsTo, type P2pPair, PATIENCE_MS, pathTo } from './p2p-pair.ts'

export const NEBULA_DEVICE = 'flatnet-nebula'

function findNebula(): NebulaVersion | undefined {
  const folder = process.env['FLATNET_NEBULA']
  if (folder !== undefined) process.env['PATH'] = `${folder}:${process.env['PATH']}`
  try {
    return parseVersion(run('nebula', ['-version']))
  } catch {
    return undefined
  }
}

/** Which Nebula the hosts run, also by a path that a test makes. undefined: none is installed. */
export const nebulaVersion = findNebula()

/** The gateway path, what keeps packets off Nebula's own route, and that route, which releases before 1.7 set. */
export const METRICS_WITHOUT =
  nebulaVersion !== undefined && canSkipRoutes(nebulaVersion) ? [200, 250] : [200, 250, 300]
const METRICS = [150, ...METRICS_WITHOUT]
/** Where a configuration of a person's own lets Nebula set its route, whichever release it is. */
export const METRICS_OF_OWN = [150, 200, 250, 300]

export type NebulaPair = Omit<P2pPair, 'faults'>

/** Changes `paths.nebula` of a host whose gateway does not run. */
export function setNebula(host: TestHost, nebula: object): void {
  const file = join(host.dir, 'flatnet.yaml')
  const conf = parse(readFileSync(file, 'utf8'))
  writeFileSync(file, stringify({ ...conf, paths: { ...conf.paths, nebula } }))
}

/** A CA on host 1 and certificates for both, as docs/operations/nebula.md says it. */
async function makeCertificates(one: TestHost, two: TestHost): Promise<void> {
  await one.ok('nebula', 'ca')
  await one.ok('nebula', 'host')
  await one.ok('nebula', 'host', '2')
  cpSync(join(one.dataDir, 'nebula/host-2'), join(two.dataDir, 'nebula'), { recursive: true })
}

/** As people do who have no Nebula yet. */
async function asInTheManual({ host }: TestNet): Promise<void> {
  await makeCertificates(host(1), host(2))
  for (const each of [host(1), host(2)]) setNebula(each, { enabled: true })
}

export async function nebulaPair(
  t: Test,
  { arrange = asInTheManual, spare = 0 }: Pick<HostsOptions, 'arrange' | 'spare'> = {},
): Promise<NebulaPair> {
  const net = await joinedHosts(t, 2, { arrange, spare })
  const [one, two] = [net.host(1), net.host(2)]
  const [apple, berry] = [await hostContainer(t, one, 'apple'), await hostContainer(t, two, 'berry')]
  return { net, one, two, apple, berry }
}

export const takeNebula = (
  { one, two }: Pick<NebulaPair, 'one' | 'two'>,
  expected = METRICS,
): Promise<boolean> =>
  waitFor('packets of both hosts go by Nebula', PATIENCE_MS, async () => {
    const paths = await Promise.all([pathTo(one, 2), pathTo(two, 1)])
    if (!paths.every(({ state, via }) => state === 'P2P_ACTIVE' && via === 'nebula')) return false
    return [metricsTo(one, 2), metricsTo(two, 1)].every((metrics) => String(metrics) === String(expected))
  })

/** Waits until Nebula's device is there and peers may probe. */
export const usable = (host: TestHost): Promise<boolean> =>
  waitFor(
    'Nebula can be used',
    PATIENCE_MS,
    async () => (await host.api('/v1/status')).nebula.problem === null,
  )

/** Nebula as a service of the host's own runs it: the gateway's configuration with another device. */
export function runNebula(host: TestHost, device: string): void {
  const [gateways, own] = [join(host.dataDir, 'nebula/config.yml'), join(host.dir, 'own-nebula.yml')]
  writeFileSync(own, readFileSync(gateways, 'utf8').replace(NEBULA_DEVICE, device))
  host.spawn('nebula', '-config', own)
}

/** Of the Nebula that runs in the host's namespace. */
export function nebulaPid({ ns }: TestHost): number | undefined {
  const pids = run('ip', ['netns', 'pids', ns.name]).split('\n').filter(Boolean).map(Number)
  return pids.find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'nebula'
    } catch {
      return false // It ended meanwhile.
    }
  })
}

/** Packets that a device has sent so far. */
export const sentBy = ({ ns }: TestHost, ifname: string): number =>
  Number(ns.exec('cat', `/sys/class/net/${ifname}/statistics/tx_packets`))

/** What Nebula may leave on a host: process, device, routes, elements of nftables. One line for each. */
export function nebulaTraces(host: TestHost): string[] {
  const { ns } = host
  const links: { ifname: string }[] = ns.json('ip', '-j', 'link')
  const routes: { dst: string; metric?: number }[] = ns.json('ip', '-j', 'route')
  const sets = ['carriers', 'carrier_ports'].filter((set) =>
    ns.exec('nft', 'list', 'set', 'inet', 'flatnet', set).includes('elements'),
  )
  const pid = nebulaPid(host)
  return [
    ...(pid === undefined ? [] : [`process ${pid}`]),
    ...links.flatMap(({ ifname }) => (ifname === NEBULA_DEVICE ? [`device ${ifname}`] : [])),
    ...routes.flatMap(({ dst, metric = 0 }) =>
      [150, 250, 300].includes(metric) ? [`route to ${dst} of metric ${metric}`] : [],
    ),
    ...sets.map((set) => `elements of ${set}`),
  ]
}
