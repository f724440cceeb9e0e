/**
 * What Flatnet leaves on a machine, read from the kernel and the disk without its code: teardown is proven by absence.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lease } from '../../../ipam/lease.ts'
import type { Machine } from './machine.ts'

/** Leases on disk. Released addresses rest in the same files, but are no leases. */
export function leasesOf(dataDir: string, network: string): Lease[] {
  const dir = join(dataDir, 'ipam', network)
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => leasesIn(JSON.parse(readFileSync(join(dir, file), 'utf8'))))
}

function leasesIn(value: unknown): Lease[] {
  if (typeof value !== 'object' || value === null) return []
  if ('containerId' in value && 'ip' in value && 'ifname' in value) return [value as Lease]
  return Object.values(value).flatMap(leasesIn)
}

/** Elements of the maps that publish ports, e.g. `ports_any ["tcp",8080] ["10.100.1.10",80]`. */
export async function publishedPorts(m: Machine): Promise<string[]> {
  const ran = await m.run(['nft', '-j', 'list', 'table', 'inet', 'flatnet'])
  if (ran.rc !== 0) return []
  const items: { map?: { name: string; elem?: unknown[] } }[] = JSON.parse(ran.stdout).nftables
  return items.flatMap(({ map }) => (map?.elem ?? []).map((elem) => `${map?.name} ${JSON.stringify(elem)}`))
}

/** One line per finding beyond the bridge and the static ruleset; empty when nothing is left. */
export async function leftovers(m: Machine, dataDir: string): Promise<string[]> {
  const links: { ifname: string }[] = await m.json('ip', '-j', 'link')
  const ipam = join(dataDir, 'ipam')
  const networks = existsSync(ipam) ? readdirSync(ipam) : []
  return [
    ...links.filter(({ ifname }) => /^fn[0-9a-f]{10}$/.test(ifname)).map(({ ifname }) => `link ${ifname}`),
    ...(await publishedPorts(m)).map((element) => `nft element ${element}`),
    ...networks.flatMap((network) =>
      leasesOf(dataDir, network).map(
        ({ ip, containerId }) => `lease of ${network}: ${ip} for ${containerId}`,
      ),
    ),
  ]
}
