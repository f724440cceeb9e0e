/** A store of leases on disk, as the plugin leaves it, for namespaces that are plain files of the test. */

import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Lease } from '../../../ipam/lease.ts'
import { bootId } from '../../../kernel/boot.ts'

export interface TestStore {
  /** An active lease whose namespace is there; `more` makes it another. */
  lease(ip: string, more?: Partial<Lease>): Promise<Lease>
  /** Replaces the block 127.1.0.0 of a network, by rename as the plugin does. */
  write(network: string, leases: readonly Lease[] | string): Promise<void>
}

export function testStore(folder: string): TestStore {
  return {
    async lease(ip, more = {}) {
      const netns = join(folder, `netns-${ip}`)
      await writeFile(netns, '')
      const { dev, ino } = await stat(netns, { bigint: true })
      return {
        ip,
        network: 'flatnet',
        containerId: `c-${ip}`,
        ifname: 'eth0',
        mac: '0a:64:7f:01:00:01',
        hostIfname: 'fn0',
        netns,
        netnsInode: `${dev}:${ino}`,
        bootId: bootId(),
        name: `n-${ip}`,
        createdAt: '2026-11-20T13:00:00.000Z',
        state: 'active',
        ...more,
      }
    },
    async write(network, leases) {
      const path = join(folder, 'data', 'ipam', network)
      await mkdir(path, { recursive: true })
      const block =
        typeof leases === 'string'
          ? leases
          : JSON.stringify({
              version: 1,
              leases: Object.fromEntries(leases.map((l) => [l.ip, l])),
              released: {},
            })
      await writeFile(join(path, '.new.tmp'), block)
      await rename(join(path, '.new.tmp'), join(path, '127.1.0.0.json'))
    },
  }
}
