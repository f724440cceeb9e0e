/** Other runtimes of this host that use CNI, beside Podman. */

import type { Host } from './host.ts'

/** They take the first file of the CNI configuration directory, and read nothing else. */
const RUNTIMES = ['containerd', 'crio']
const BIN_DIRS = ['/usr/local/bin', '/usr/local/sbin', '/usr/bin', '/usr/sbin']

export const cniRuntimes = (host: Host): string[] =>
  RUNTIMES.filter((name) => BIN_DIRS.some((dir) => host.list(dir).includes(name)))
