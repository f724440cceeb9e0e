/** The options that install shares with uninstall, init and join. */

import { existsSync } from 'node:fs'
import type { Host } from '../host/host.ts'
import { configOption, DEFAULT_CNI_CONF_DIR } from '../host/places.ts'
import { CONTAINERS_DIR, pluginDirs } from '../host/podman-conf.ts'
import type { Dialect } from '../host/podman-dialect.ts'

export const text = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const
const path = (describe: string, value: string) => ({ ...text(describe), default: value }) as const
export const number = (describe: string) => ({ type: 'number', requiresArg: true, describe }) as const
export const flag = (describe: string) => ({ type: 'boolean', default: false, describe }) as const

/** Where install puts things and uninstall looks for them when there is no record. */
export const targetOptions = {
  ...configOption,
  'cni-conf-dir': path('Where the conflist goes', DEFAULT_CNI_CONF_DIR),
  'cni-bin-dir': text(
    "Where the CNI plugin goes; default: the first of Podman's plugin directories that exists",
  ),
  'bin-dir': path('Where the command and gateway go', '/usr/local/bin'),
  'systemd-dir': path('Where the unit goes', '/etc/systemd/system'),
  'containers-dir': path("Folder of Podman's configuration", CONTAINERS_DIR),
} as const

/** Of every command that puts a host in place: install, and those that bring it into a cluster. */
export const placingOptions = {
  network: { ...text('Name of the network'), default: 'flatnet' },
  'data-dir': text('Leases, logs and state [default: unchanged, else /var/lib/flatnet]'),
  socket: text("Socket of the gateway's API [default: unchanged, else /run/flatnet/gateway.sock]"),
  ...targetOptions,
  executables: {
    type: 'boolean',
    default: true,
    describe: 'Copy the command and the plugin; --no-executables where a package has installed them',
  },
  service: { type: 'boolean', describe: 'Install the systemd unit [default: where systemd runs]' },
  'configure-podman': flag('Set network_backend = "cni" in a drop-in of containers.conf (Podman 4)'),
  force: flag('Change a network that was changed by hand (keeps a backup)'),
} as const

/** Podman's own choice where it exists. Where there is none yet: /opt/cni/bin, which other runtimes search too. */
export function defaultPluginDir(host: Host, dialect: Dialect, containersDir: string): string {
  const dirs = pluginDirs(host, dialect, containersDir)
  const fallback = dialect === 'cni' ? '/opt/cni/bin' : (dirs[0] ?? '/usr/local/libexec/netavark')
  return dirs.find((dir) => existsSync(dir)) ?? fallback
}
