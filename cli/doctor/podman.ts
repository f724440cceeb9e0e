/** Doctor, Podman: a version with CNI, the CNI backend, and whether it sees our networks. */

import { type Host, runJson } from '../host/host.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

export interface PodmanFacts {
  /** e.g. `4.3.1`; undefined without Podman. */
  readonly version: string | undefined
  /** `cni` or `netavark`; undefined when Podman does not say. */
  readonly backend: string | undefined
  /** Names of `podman network ls`. */
  readonly seen: readonly string[]
  /** Names in our conflists. */
  readonly expected: readonly string[]
}

export function gatherPodman(host: Host, expected: readonly string[]): PodmanFacts {
  const version = host.run('podman', ['--version'])?.stdout.match(/\d+\.\d+\.\d+\S*/)?.[0]
  if (version === undefined) return { version, backend: undefined, seen: [], expected }
  const info = runJson(host, 'podman', 'info', '--format', 'json')
  const listed = runJson<{ name?: string; Name?: string }[]>(
    host,
    'podman',
    'network',
    'ls',
    '--format',
    'json',
  )
  const seen = (Array.isArray(listed) ? listed : []).flatMap((n) => n.name ?? n.Name ?? [])
  return { version, backend: info?.host?.networkBackend, seen, expected }
}

/** Podman 4 has CNI; 5 needs a build tag for it and 6 has none. */
const OTHER_PODMAN =
  'use Podman 4.x (Debian 12 ships 4.3, Ubuntu 24.04 4.9), or another CNI runtime such as nerdctl or CRI-O'

const USE_CNI =
  'flatnet install --configure-podman, or put these two lines into /etc/containers/containers.conf: ' +
  '[network] and network_backend = "cni"; containers that exist keep netavark until they are made anew'

function judgeBackend(f: PodmanFacts, version: string): Finding {
  if (f.backend === 'cni') return ok('podman-backend', `Podman ${version} uses CNI`)
  if (Number.parseInt(version, 10) >= 5) {
    return fail(
      'podman-backend',
      `Podman ${version} has no CNI: it is off by default since 5.0 and removed in 6.0`,
      'this Podman cannot run Flatnet, whatever is configured',
      OTHER_PODMAN,
    )
  }
  if (f.backend === undefined) {
    return warn(
      'podman-backend',
      'podman info does not name its network backend',
      'it has to be cni',
      USE_CNI,
    )
  }
  return fail(
    'podman-backend',
    `Podman ${version} uses ${f.backend}, not CNI`,
    '`podman run --network flatnet` says that there is no such network',
    USE_CNI,
  )
}

function judgeSeen(f: PodmanFacts): Finding[] {
  if (f.backend !== 'cni' || f.expected.length === 0) return []
  const missing = f.expected.filter((name) => !f.seen.includes(name))
  if (missing.length === 0) return [ok('podman-network', `Podman lists ${f.expected.join(', ')}`)]
  return [
    fail(
      'podman-network',
      `Podman does not list ${missing.join(', ')}`,
      'it skips a conflist whose plugin is missing, broken or of another cniVersion, and reads one directory only',
      'podman --log-level=warn network ls names the reason; the other findings here mostly say it too',
    ),
  ]
}

export function judgePodman(f: PodmanFacts): Finding[] {
  if (f.version === undefined) {
    return [
      warn(
        'podman',
        'podman is not installed, or not on the PATH',
        'containers then come from another CNI runtime, or not at all',
        'apt-get install podman (Debian 12 has 4.3 with CNI)',
      ),
    ]
  }
  return [judgeBackend(f, f.version), ...judgeSeen(f)]
}

/** Podman of another user is another Podman, with other networks. */
function refuseOtherUsers(host: Host): void {
  if (host.uid() !== 0) throw Object.assign(new Error("not root's Podman"), { code: 'EACCES' })
}

export const check = hostCheck({
  name: 'podman',
  needsRoot: [
    warn(
      'podman',
      "root's Podman can be asked by root alone",
      'nothing can be said about Podman',
      'run this as root',
    ),
  ],
  gather({ host, places }) {
    refuseOtherUsers(host)
    return gatherPodman(
      host,
      places.networks.map((n) => n.name),
    )
  },
  judge: judgePodman,
})
