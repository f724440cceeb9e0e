/** Says when Podman does not use CNI yet: without it nothing of Flatnet is ever asked. */

import type { Host } from '../host/host.ts'
import { configuredBackend } from '../host/podman-conf.ts'
import { type Io, printLine } from '../ui/output.ts'

/** Prints nothing where Podman uses CNI, or is not there. */
export function tellBackend(io: Io, host: Host, containersDir: string): void {
  const backend = configuredBackend(host, containersDir)
  const podman = host.run('podman', ['info', '--format', '{{.Host.NetworkBackend}}'])?.stdout.trim()
  if (podman === undefined || podman === 'cni' || backend === 'cni') return
  printLine(
    io,
    `Podman uses ${podman || 'no backend it names'}, ` +
      `and Flatnet needs CNI. Put this into ${containersDir}/containers.conf:`,
  )
  printLine(io, '\n  [network]\n  network_backend = "cni"\n')
  printLine(io, 'or let this do it: flatnet install --configure-podman')
  printLine(io, 'Containers that exist keep their old backend until they are made anew.')
}
