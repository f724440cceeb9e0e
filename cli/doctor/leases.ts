/** Doctor, the lease store: unreadable files, stale leases, slices that run full. */

import { sizeOf } from '../../core/addr.ts'
import type { Host } from '../host/host.ts'
import { readLeases } from '../host/leases.ts'
import type { Places } from '../host/places.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

export interface LeaseFacts {
  readonly unreadable: readonly { readonly network: string; readonly reason: string }[]
  /** Files that were set aside because they were broken. */
  readonly setAside: readonly string[]
  readonly networks: readonly LeaseCount[]
}

interface LeaseCount {
  readonly network: string
  /** `active` and `pending`. */
  readonly used: number
  readonly stale: number
  /** Addresses that are allocated without a request for one; undefined when the conflist is gone. */
  readonly size: number | undefined
}

async function gatherLeases(host: Host, places: Places): Promise<LeaseFacts> {
  const snapshot = await readLeases(places.dataDirs)
  const all = [...snapshot.live, ...snapshot.pending, ...snapshot.stale]
  const names = new Set([...places.networks.map((n) => n.name), ...all.map((l) => l.network)])
  const folders = places.dataDirs.flatMap((dir) =>
    host.list(`${dir}/ipam`).map((network) => `${dir}/ipam/${network}`),
  )
  return {
    unreadable: snapshot.unreadable.map(({ network, cause }) => ({
      network,
      reason: cause instanceof Error ? cause.message : String(cause),
    })),
    setAside: folders.flatMap((folder) =>
      host
        .list(folder)
        .filter((name) => name.includes('.json.broken-'))
        .map((name) => `${folder}/${name}`),
    ),
    networks: [...names].map((network) => {
      const count = (of: readonly { network: string }[]): number =>
        of.filter((l) => l.network === network).length
      const ipam = places.networks.find((n) => n.name === network)?.conf.ipam
      return {
        network,
        used: count(snapshot.live) + count(snapshot.pending),
        stale: count(snapshot.stale),
        size: ipam === undefined ? undefined : Math.max(0, sizeOf(ipam.hostPrefix) - ipam.firstOffset - 1),
      }
    }),
  }
}

/** With one address in ten left there is time to act before a container is refused. */
const NEARLY_FULL = 0.9

function judgeNetwork(n: LeaseCount): Finding[] {
  const checks: Finding[] = []
  if (n.stale > 0) {
    checks.push(
      warn(
        'leases-stale',
        `${n.network}: ${n.stale} leases whose container is gone`,
        'Podman sends no DEL after a reboot or a lost namespace; they are reclaimed when space is needed',
        'flatnet gc gives them back now',
      ),
    )
  }
  if (n.size !== undefined && n.used >= n.size * NEARLY_FULL) {
    checks.push(
      (n.used >= n.size ? fail : warn)(
        'leases-full',
        `${n.network}: ${n.used} of ${n.size} addresses are held`,
        'when all are, containers are refused with code 100',
        'stop containers, or choose a smaller hostPrefix (larger slices) on every host before the next start',
      ),
    )
  }
  const of = n.size === undefined ? '' : ` of ${n.size}`
  return checks.length > 0 ? checks : [ok('leases', `${n.network}: ${n.used}${of} addresses held`)]
}

export function judgeLeases(f: LeaseFacts): Finding[] {
  const broken = f.unreadable.map(({ network, reason }) =>
    fail(
      'leases-readable',
      `${network}: ${reason}`,
      'the gateway shows nothing new of this network until the file can be read',
      'check disk and permissions; the next container start sets the file aside and rebuilds it from the kernel',
    ),
  )
  const aside = f.setAside.map((path) =>
    warn(
      'leases-set-aside',
      `${path} was broken and has been set aside`,
      'a crash, a full disk or an editor damaged it; the leases were rebuilt from the kernel',
      'look for disk errors, then delete the file',
    ),
  )
  return [...broken, ...aside, ...f.networks.flatMap(judgeNetwork)]
}

export const check = hostCheck({
  name: 'leases',
  needsRoot: [
    warn(
      'leases',
      'the leases may be read by root alone',
      'nothing can be said about leases',
      'run this as root',
    ),
  ],
  gather: ({ host, places }) => gatherLeases(host, places),
  judge: judgeLeases,
})
