/** The two Podmans that tests run on: this machine's 4 by CNI, and Debian 13's 5 by netavark. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { optionsOf } from '../../../conf/network-options.ts'
import type { JsonObject } from '../../../core/json.ts'
import { podman5Missing, SYSTEM } from '../podman5/system.ts'

/** Debian's reference plugins (containernetworking-plugins). */
export const DEBIAN_CNI = '/usr/lib/cni'

/** A network as tests describe it, in the words of a conflist. */
export interface NetworkConfig extends JsonObject {
  readonly cniVersion: string
  readonly name: string
  /** Ours is the first. */
  readonly plugins: readonly JsonObject[]
}

export interface PodmanRuntime {
  readonly name: string
  readonly dialect: 'cni' | 'netavark'
  /** Root folder of the system it runs on; undefined: this machine's own. */
  readonly system: string | undefined
  /** Why it cannot run here, or false. */
  missing(): string | false
  /** Where this system's Podman looks for plugins without being told. */
  readonly pluginDir: string
  /** containers.conf up to `[network]`, and how it goes on with folders of a test's own. */
  readonly base: string
  folders(pluginDir: string, networkDir: string): string
  /** What follows the network's name in the name of its file. */
  readonly networkEnding: '.conflist' | '.json'
  /** The text of the file in its network folder that makes the network. */
  networkFile(config: NetworkConfig): string
}

/** Why Podman tests cannot run here, or false. `bin/test` installs what is missing, so under CI=true a reason fails. */
export function podmanMissing(): string | false {
  if (process.getuid?.() !== 0) return 'needs root (network namespaces)'
  const needed = ['/usr/bin/podman', '/usr/sbin/runc', '/bin/busybox', '/usr/sbin/nft']
  const missing = needed.filter((path) => !existsSync(path))
  return missing.length > 0 && `not installed: ${missing.join(', ')}`
}

/** A sandbox may forbid raising limits. */
const LIMITS = 'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]'

export const PODMAN4: PodmanRuntime = {
  name: 'Podman 4',
  dialect: 'cni',
  system: undefined,
  pluginDir: DEBIAN_CNI,
  missing: podmanMissing,
  /** runc and cgroupfs: Debian 12's crun refuses hybrid cgroups. */
  base: `[containers]
${LIMITS}
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
[network]
network_backend = "cni"
`,
  folders: (pluginDir, networkDir) => `cni_plugin_dirs = ["${pluginDir}", "${DEBIAN_CNI}"]
network_config_dir = "${networkDir}"
`,
  networkEnding: '.conflist',
  networkFile: (config) => JSON.stringify(config, null, 2),
}

/** What `flatnet install` writes for a Podman without CNI, with a test's own values. */
function netavarkFile({ name, plugins }: NetworkConfig): string {
  const entry = plugins[0] ?? {}
  const network = {
    name,
    id: createHash('sha256').update(name).digest('hex'),
    driver: 'flatnet',
    network_interface: entry['bridge'],
    created: new Date(0).toISOString(),
    ipv6_enabled: false,
    internal: false,
    dns_enabled: false,
    options: optionsOf(entry),
    ipam_options: { driver: 'flatnet' },
  }
  return JSON.stringify(network, null, 2)
}

export const PODMAN5: PodmanRuntime = {
  name: 'Podman 5',
  dialect: 'netavark',
  system: SYSTEM,
  pluginDir: '/usr/local/libexec/netavark',
  missing: podman5Missing,
  /** Without cgroups: the machine's are v1 or hybrid, and there is nothing about them to test. */
  base: `[containers]
cgroups = "disabled"
${LIMITS}
[engine]
cgroup_manager = "cgroupfs"
runtime = "crun"
events_logger = "file"
[network]
`,
  folders: (pluginDir, networkDir) => `netavark_plugin_dirs = ["${pluginDir}"]
network_config_dir = "${networkDir}"
`,
  networkEnding: '.json',
  networkFile: netavarkFile,
}
