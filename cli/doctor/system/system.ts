/** Doctor, the machine: root, the kernel, libraries and sysctls that Flatnet stands on. */

import { release } from 'node:os'
import type { Host } from '../../host/host.ts'
import { type Finding, fail, hostCheck, ok, warn } from '../check.ts'
import { OUR_DEVICES } from '../routes.ts'
import { gatherKernel, judgeKernel, type KernelFacts } from './kernel.ts'

export interface SystemFacts {
  readonly uid: number
  /** Root of a user namespace only (rootless Podman, `unshare -r`). */
  readonly isUserNamespace: boolean
  readonly kernel: KernelFacts
  readonly hasLibatomic: boolean
  readonly ipForward: boolean | undefined
  /** Interface -> effective value (the larger of `all` and its own); only of interfaces that carry Flatnet traffic. */
  readonly rpFilter: Readonly<Record<string, number>>
}

function hasLibatomic(host: Host): boolean {
  if (host.run('ldconfig', ['-p'])?.stdout.includes('libatomic.so.1')) return true
  const dirs = [
    '/lib',
    '/usr/lib',
    '/lib64',
    '/usr/lib64',
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
  ]
  return dirs.some((dir) => host.list(dir).some((name) => name.startsWith('libatomic.so.1')))
}

export function gatherSystem(host: Host, ours: readonly string[]): SystemFacts {
  const sysctl = (key: string): string | undefined => host.read(`/proc/sys/net/ipv4/${key}`)?.trim()
  const all = Number(sysctl('conf/all/rp_filter') ?? 0)
  const own = ours.flatMap((name) => {
    const value = sysctl(`conf/${name}/rp_filter`)
    return value === undefined ? [] : [[name, Math.max(all, Number(value))] as const]
  })
  const forward = sysctl('ip_forward')
  return {
    uid: host.uid(),
    isUserNamespace: !/^\s*0\s+0\s+4294967295\s*$/.test(host.read('/proc/self/uid_map') ?? '0 0 4294967295'),
    kernel: gatherKernel(host, release()),
    hasLibatomic: hasLibatomic(host),
    ipForward: forward === undefined ? undefined : forward === '1',
    rpFilter: Object.fromEntries(own),
  }
}

function judgeRoot(f: SystemFacts): Finding {
  if (f.uid !== 0) {
    return fail(
      'root',
      `running as user ${f.uid}, not as root`,
      'Flatnet makes bridges, routes and nftables rules of the host; rootless Podman cannot use it',
      'run this with sudo, and containers with `sudo podman run --network flatnet`',
    )
  }
  if (f.isUserNamespace) {
    return fail(
      'root',
      'root of a user namespace only',
      'rootless Podman and `unshare -r` have a private host network, so no other machine could reach the address',
      'use root on the host itself; rootless use is not supported',
    )
  }
  return ok('root', 'running as root')
}

function judgeWsl(f: SystemFacts): Finding[] {
  if (!/microsoft/i.test(f.kernel.release)) return []
  return [
    warn(
      'wsl',
      'this is WSL',
      'other machines reach it only when Windows lets them, and it stops when idle',
      'set networkingMode=mirrored under [wsl2] and systemd=true under [boot], or forward port 8080 with netsh',
    ),
  ]
}

function judgeForwarding(f: SystemFacts): Finding {
  if (f.ipForward === true) return ok('ip-forward', 'net.ipv4.ip_forward is 1')
  return warn(
    'ip-forward',
    'net.ipv4.ip_forward is not 1',
    'containers reach neither the world nor each other across hosts; Flatnet sets it when a container starts, ' +
      'but something on this host sets it back, or no container has started yet',
    "echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/90-flatnet.conf && sysctl --system",
  )
}

function judgeRpFilter(f: SystemFacts): Finding {
  const strict = Object.keys(f.rpFilter).filter((name) => f.rpFilter[name] === 1)
  if (strict.length === 0) return ok('rp-filter', 'no strict reverse path filter on our interfaces')
  return warn(
    'rp-filter',
    `rp_filter is strict on ${strict.join(', ')}`,
    'published ports, containers with two networks and paths between hosts lose packets that come back another way',
    strict.map((name) => `sysctl -w net.ipv4.conf.${name}.rp_filter=2`).join('; '),
  )
}

export function judgeSystem(f: SystemFacts): Finding[] {
  const libatomic = f.hasLibatomic
    ? ok('libatomic', 'libatomic.so.1 is installed')
    : fail(
        'libatomic',
        'libatomic.so.1 is not installed',
        'the flatnet executable does not start without it ("cannot open shared object file")',
        'apt-get install libatomic1 (Debian, Ubuntu) or dnf install libatomic (Fedora)',
      )
  return [
    judgeRoot(f),
    judgeKernel(f.kernel),
    ...judgeWsl(f),
    libatomic,
    judgeForwarding(f),
    judgeRpFilter(f),
  ]
}

export const check = hostCheck({
  name: 'system',
  gather: ({ host, bridges }) => gatherSystem(host, [...bridges, ...OUR_DEVICES]),
  judge: judgeSystem,
})
