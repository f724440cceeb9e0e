/**
 * How this host's Podman speaks to network plugins: CNI up to 4, netavark since 5.0; 4.5 to 4.9 can do both.
 */

import type { Host } from './host.ts'

export type Dialect = 'cni' | 'netavark'

export interface Podman {
  /** e.g. `5.4.2`; undefined: no Podman here, or it does not start. */
  readonly version: string | undefined
  /** As `podman info` names it; undefined: it does not say. */
  readonly backend: string | undefined
}

export function findPodman(host: Host): Podman {
  const version = host.run('podman', ['--version'])?.stdout.match(/\d+\.\d+(\.\d+\S*)?/)?.[0]
  if (version === undefined) return { version, backend: undefined }
  const backend = host.run('podman', ['info', '--format', '{{.Host.NetworkBackend}}'])?.stdout.trim()
  return { version, backend: backend || undefined }
}

/** netavark has had plugins since 1.6, which came with Podman 4.5.0. */
export const hasNetavarkPlugins = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 4 || (major === 4 && minor >= 5)
}

/** Off by default since 5.0, and removed in 6.0. */
export const hasCni = ({ version = '', backend }: Podman): boolean =>
  backend === 'cni' || Number.parseInt(version, 10) < 5

/**
 * What Flatnet has to be for this Podman.
 * @param installed what it is now; decides where both would do
 */
export function dialectOf(podman: Podman, installed: Dialect | undefined): Dialect {
  const { version, backend } = podman
  if (version === undefined) return installed ?? 'cni'
  if (!hasNetavarkPlugins(version)) return 'cni'
  if (!hasCni(podman)) return 'netavark'
  if (backend === 'cni' || backend === 'netavark') return backend
  return installed ?? 'cni'
}

export const DIALECT_NAMES: Readonly<Record<Dialect, string>> = {
  cni: 'CNI (a conflist)',
  netavark: 'netavark (a network file)',
}
