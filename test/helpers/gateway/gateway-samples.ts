/** Valid values of the gateway for tests: a configuration and assignments. Opens nothing. */
import { join } from 'node:path'
import { type DaemonConf, daemonConf } from '../../../conf/daemon.ts'
import type { Assignment } from '../../../core/api.ts'
import type { Token } from '../../../gateway/cluster/joining/tokens.ts'
import type { LeaseSnapshot } from '../../../gateway/leases/source.ts'

export const noLeases: LeaseSnapshot = { live: [], pending: [], stale: [], unreadable: [] }

export function testConf(folder: string, more: Record<string, unknown> = {}): DaemonConf {
  const { ingress = {}, ...rest } = more as { ingress?: object }
  return daemonConf({
    hostId: 1,
    supernet: '127.0.0.0/8',
    hostPrefix: 16,
    dataDir: join(folder, 'data'),
    api: { socket: join(folder, 'gateway.sock') },
    // Longer than any test: a test that wants a comparison changes the files.
    reconcileMs: 3_600_000,
    ...rest,
    ingress: { listen: '127.0.0.1:0', drainMs: 300, ...ingress },
  })
}

export const tokenSample: Token = {
  caFingerprint: 'ab'.repeat(32),
  secret: '0123456789abcdef'.repeat(2),
  hostId: 1,
  supernet: { base: 0x0a640000, prefixLen: 16 },
  hostPrefix: 24,
  expiresAt: 1_795_185_000_000,
  addresses: ['192.0.2.1:7443', '[2001:db8::1]:7443'],
}

let made = 0

/** A valid assignment, for another container with each call. */
export function assignmentOf(part: Partial<Assignment> = {}): Assignment {
  made++
  return {
    network: 'flatnet',
    containerId: `c${made}`,
    ifname: 'eth0',
    hostId: 1,
    ips: [`127.1.${200 + (made >> 8)}.${made & 255}/16`],
    mac: '0a:64:0a:64:01:0a',
    aliases: [],
    ports: [],
    httpPort: 80,
    createdAt: '2026-11-20T13:00:00.000Z',
    ...part,
  }
}
