/** Checks what must hold for a lease store, whatever happened to it. */
import { existsSync, readdirSync } from 'node:fs'
import type { Test } from 'tap'
import { formatIpv4 } from '../../../core/addr.ts'
import { attachmentKey } from '../../../core/attachment.ts'
import { collectStale } from '../../../ipam/inventory.ts'
import { find } from '../../../ipam/ipam.ts'
import type { FakeHost } from './lease-host.ts'

/** @returns all violations. Collects garbage first, which sweeps and finds broken blocks. */
export function violations(host: FakeHost): string[] {
  const found: string[] = []
  collectStale(host.store(), host.facts(), host.clock)
  const leases = host.list()
  const keys = new Map(
    host
      .store()
      .keys.all()
      .map((key) => [attachmentKey({ ...key, network: 'flatnet' }), formatIpv4(key.ip)]),
  )
  if (new Set(leases.map(attachmentKey)).size !== leases.length) found.push('an attachment has two leases')
  for (const lease of leases) {
    const key = attachmentKey(lease)
    if (keys.get(key) !== lease.ip)
      found.push(`the key of ${key} leads to ${keys.get(key)} and not to ${lease.ip}`)
  }
  for (const live of host.links.values()) {
    const lease = find(host.store(), live)
    if (lease?.ip !== live.ip)
      found.push(`${live.containerId} lives with ${live.ip} and has a lease of ${lease?.ip}`)
  }
  const names = existsSync(host.folder) ? readdirSync(host.folder, { recursive: true, encoding: 'utf8' }) : []
  for (const name of names) {
    if (name.endsWith('.tmp')) found.push(`${name} is left over`)
  }
  return found
}

/**
 * Starts another container, as what was damaged is made good by the next one that comes, and looks at everything then.
 */
export function checkStore(t: Pick<Test, 'same'>, host: FakeHost, when: string): void {
  const ips = new Set([...host.links.values()].map(({ ip }) => ip))
  const { lease } = host.acquire('the-next')
  t.same(ips.has(lease.ip), false, `${when}: the next container gets ${lease.ip}, which is free`)
  t.same(violations(host), [], when)
}
