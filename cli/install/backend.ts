/** Says when a Podman that has only CNI for plugins does not use it yet: then no plugin of ours is ever asked. */

import type { Host } from '../host/host.ts'
import { configuredBackend } from '../host/podman-conf.ts'
import { dialectOf, findPodman } from '../host/podman-dialect.ts'
import { type Io, printLine } from '../ui/output.ts'

/** Prints nothing where Podman uses CNI, takes netavark's plugins, or is not there. */
export function printBackend(io: Io, host: Host, containersDir: string): void {
  const podman = findPodman(host)
  if (podman.version === undefined || dialectOf(podman, undefined) === 'netavark') return
  if (podman.backend === 'cni' || configuredBackend(host, containersDir) === 'cni') return
  printLine(
    io,
    `Podman ${podman.version} uses ${podman.backend ?? 'no backend it names'}, ` +
      `and Flatnet needs CNI. Put this into ${containersDir}/containers.conf:`,
  )
  printLine(io, '\n  [network]\n  network_backend = "cni"\n')
  printLine(io, 'or let this do it: flatnet install --configure-podman')
  printLine(io, 'Containers that exist keep their old backend until they are made anew.')
}
