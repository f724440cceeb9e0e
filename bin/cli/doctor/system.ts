/** Doctor, the machine: root, the kernel's parts, libraries and sysctls that Flatnet stands on. */
import { release } from 'node:os'
import type { Host } from '../host.ts'
import { type Check, fail, ok, warn } from './check.ts'

type ModuleState = 'present' | 'loadable' | 'missing' | 'unknown'

export interface SystemFacts {
  readonly uid: number
  /** Root of a user namespace only (rootless Podman, `unshare -r`). */
  readonly isUserNamespace: boolean
  readonly kernel: string
  readonly modules: Readonly<Record<string, ModuleState>>
  readonly hasLibatomic: boolean
  readonly ipForward: boolean | undefined
  /** Interface -> effective value (the larger of `all` and its own); only of interfaces that carry Flatnet traffic. */
  readonly rpFilter: Readonly<Record<string, number>>
}

/** nft_nat and nft_masq carry published ports and masquerade; ruleset loading fails without them. */
const MODULES = ['bridge', 'veth', 'nf_tables', 'nf_conntrack', 'nft_nat', 'nft_masq']

function moduleStates(host: Host, kernel: string): Record<string, ModuleState> {
  const builtin = host.read(`/lib/modules/${kernel}/modules.builtin`)
  const loadable = host.read(`/lib/modules/${kernel}/modules.dep`)
  const loaded = host.read('/proc/modules') ?? ''
  const state = (name: string): ModuleState => {
    if (new RegExp(`^${name} `, 'm').test(loaded) || host.list(`/sys/module/${name}`).length > 0)
      return 'present'
    if (builtin?.includes(`/${name}.ko`)) return 'present'
    if (loadable?.includes(`/${name}.ko`)) return 'loadable'
    return builtin === undefined ? 'unknown' : 'missing'
  }
  return Object.fromEntries(MODULES.map((name) => [name, state(name)]))
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
  const kernel = release()
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
    kernel,
    modules: moduleStates(host, kernel),
    hasLibatomic: hasLibatomic(host),
    ipForward: forward === undefined ? undefined : forward === '1',
    rpFilter: Object.fromEntries(own),
  }
}

function judgeRoot(f: SystemFacts): Check {
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
      "rootless Podman and `unshare -r` have a private host network: the address would be nobody else's to reach",
      'use root on the host itself; rootless use is not supported',
    )
  }
  return ok('root', 'running as root')
}

function judgeKernel(f: SystemFacts): Check {
  const isWsl = /microsoft/i.test(f.kernel)
  const of = (state: ModuleState): string[] => MODULES.filter((name) => f.modules[name] === state)
  const missing = of('missing')
  if (missing.length > 0) {
    return fail(
      'kernel',
      `kernel ${f.kernel} lacks ${missing.join(', ')}`,
      'no container can be attached without them',
      isWsl
        ? 'update WSL: `wsl --update` in Windows, then `wsl --shutdown`'
        : 'install the full kernel of the distribution (not its cloud or container variant) and reboot',
    )
  }
  const loadable = of('loadable')
  const unknown = of('unknown')
  if (unknown.length > 0) {
    return warn(
      'kernel',
      `cannot tell whether kernel ${f.kernel} has ${unknown.join(', ')}`,
      'there is no /lib/modules for it here, as inside a container',
      `if starting a container fails, load them on the host: modprobe -a ${unknown.join(' ')}`,
    )
  }
  const note = loadable.length > 0 ? `; ${loadable.join(', ')} will be loaded on use` : ''
  return ok('kernel', `kernel ${f.kernel} has bridge, veth and nftables${note}`)
}

function judgeWsl(f: SystemFacts): Check[] {
  if (!/microsoft/i.test(f.kernel)) return []
  return [
    warn(
      'wsl',
      'this is WSL',
      'other machines reach it only when Windows lets them, and it stops when idle',
      'set networkingMode=mirrored under [wsl2] and systemd=true under [boot], or forward port 8080 with netsh',
    ),
  ]
}

function judgeForwarding(f: SystemFacts): Check {
  if (f.ipForward === true) return ok('ip-forward', 'net.ipv4.ip_forward is 1')
  return warn(
    'ip-forward',
    'net.ipv4.ip_forward is not 1',
    'containers reach neither the world nor each other across hosts; Flatnet sets it when a container starts, ' +
      'but something on this host sets it back, or no container has started yet',
    "echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/90-flatnet.conf && sysctl --system",
  )
}

function judgeRpFilter(f: SystemFacts): Check {
  const strict = Object.keys(f.rpFilter).filter((name) => f.rpFilter[name] === 1)
  if (strict.length === 0) return ok('rp-filter', 'no strict reverse path filter on our interfaces')
  return warn(
    'rp-filter',
    `rp_filter is strict on ${strict.join(', ')}`,
    'published ports, containers with two networks and paths between hosts lose packets that come back another way',
    strict.map((name) => `sysctl -w net.ipv4.conf.${name}.rp_filter=2`).join('; '),
  )
}

export function judgeSystem(f: SystemFacts): Check[] {
  const libatomic = f.hasLibatomic
    ? ok('libatomic', 'libatomic.so.1 is installed')
    : fail(
        'libatomic',
        'libatomic.so.1 is not installed',
        'the flatnet executable does not start without it ("cannot open shared object file")',
        'apt-get install libatomic1 (Debian, Ubuntu) or dnf install libatomic (Fedora)',
      )
  return [judgeRoot(f), judgeKernel(f), ...judgeWsl(f), libatomic, judgeForwarding(f), judgeRpFilter(f)]
}
