/** Doctor, the kernel's parts: what the files of the machine say, and where they are silent, a trial. */

import type { Host } from '../../host/host.ts'
import { type Finding, fail, ok, warn } from '../check.ts'

type PartState = 'present' | 'loadable' | 'missing' | 'unknown'

export interface KernelFacts {
  /** e.g. `6.1.0-18-amd64`. */
  readonly release: string
  readonly parts: Readonly<Record<string, PartState>>
}

interface Part {
  /** In the kernel's configuration. */
  readonly option: string
  /** A command that the kernel refuses without the part, run in a network namespace that ends with it. */
  readonly trial: readonly string[]
}

const nft = (rule: string, chain = 'type filter hook input priority 0;'): readonly string[] => [
  'nft',
  `add table inet t; add chain inet t c { ${chain} }; add rule inet t c ${rule}`,
]
const NAT = 'type nat hook postrouting priority 100;'

/** nft_nat and nft_masq carry published ports and masquerade; ruleset loading fails without them. */
const PARTS: Readonly<Record<string, Part>> = {
  bridge: { option: 'BRIDGE', trial: ['ip', 'link', 'add', 'name', 'ft0', 'type', 'bridge'] },
  veth: {
    option: 'VETH',
    trial: ['ip', 'link', 'add', 'name', 'ft0', 'type', 'veth', 'peer', 'name', 'ft1'],
  },
  nf_tables: { option: 'NF_TABLES', trial: nft('accept') },
  nf_conntrack: { option: 'NF_CONNTRACK', trial: nft('ct status dnat accept') },
  nft_nat: { option: 'NFT_NAT', trial: nft('snat ip to 192.0.2.1', NAT) },
  nft_masq: { option: 'NFT_MASQ', trial: nft('masquerade', NAT) },
}

export function gatherKernel(host: Host, release: string): KernelFacts {
  const files = readFiles(host, release)
  const parts = Object.entries(PARTS).map(([name, part]) => {
    const state = stateOf(host, files, name, part.option)
    return [name, state === 'unknown' ? tried(host, part.trial) : state] as const
  })
  return { release, parts: Object.fromEntries(parts) }
}

interface Files {
  readonly loaded: string
  readonly builtin: string | undefined
  readonly loadable: string | undefined
  readonly config: string
}

function readFiles(host: Host, release: string): Files {
  const builtin = host.read(`/lib/modules/${release}/modules.builtin`)
  return {
    loaded: host.read('/proc/modules') ?? '',
    builtin,
    loadable: host.read(`/lib/modules/${release}/modules.dep`),
    // A kernel without modules, or a container without its host's files: the kernel's own configuration may tell.
    config:
      builtin === undefined
        ? (host.read(`/boot/config-${release}`) ?? host.run('zcat', ['/proc/config.gz'])?.stdout ?? '')
        : '',
  }
}

function stateOf(host: Host, files: Files, name: string, option: string): PartState {
  if (new RegExp(`^${name} `, 'm').test(files.loaded)) return 'present'
  if (host.list(`/sys/module/${name}`).length > 0 || files.builtin?.includes(`/${name}.ko`)) return 'present'
  if (files.loadable?.includes(`/${name}.ko`)) return 'loadable'
  if (files.builtin !== undefined) return 'missing'
  if (new RegExp(`^CONFIG_${option}=y$`, 'm').test(files.config)) return 'present'
  return 'unknown'
}

/** Leaves at most a loaded module behind, as a container start would. */
function tried(host: Host, trial: readonly string[]): PartState {
  if (host.run('unshare', ['--net', 'true'])?.code !== 0) return 'unknown'
  const [program = '', ...args] = trial
  if (host.run(program, ['-V']) === undefined) return 'unknown'
  return host.run('unshare', ['--net', program, ...args])?.code === 0 ? 'present' : 'missing'
}

export function judgeKernel({ release, parts }: KernelFacts): Finding {
  const isWsl = /microsoft/i.test(release)
  const of = (state: PartState): string[] => Object.keys(PARTS).filter((name) => parts[name] === state)
  const missing = of('missing')
  if (missing.length > 0) {
    return fail(
      'kernel',
      `kernel ${release} lacks ${missing.join(', ')}`,
      'no container can be attached without them',
      isWsl
        ? 'update WSL: `wsl --update` in Windows, then `wsl --shutdown`'
        : 'install the full kernel of the distribution (not its cloud or container variant) and reboot',
    )
  }
  const unknown = of('unknown')
  if (unknown.length > 0) {
    return warn(
      'kernel',
      `cannot tell whether kernel ${release} has ${unknown.join(', ')}`,
      'no file here says so, and trying it in a namespace of its own is not allowed',
      `if starting a container fails, load them on the host: modprobe -a ${unknown.join(' ')}`,
    )
  }
  const loadable = of('loadable')
  const note = loadable.length > 0 ? `; ${loadable.join(', ')} will be loaded on use` : ''
  return ok('kernel', `kernel ${release} has bridge, veth and nftables${note}`)
}
