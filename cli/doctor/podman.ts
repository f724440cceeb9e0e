/** Doctor, Podman: whether it speaks CNI or netavark, and whether it sees our networks in that form. */

import { type Host, runJson } from '../host/host.ts'
import type { FlatnetNetwork } from '../host/networks.ts'
import { type Dialect, dialectOf, hasCni, hasNetavarkPlugins } from '../host/podman-dialect.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

export interface PodmanFacts {
  /** e.g. `4.3.1`; undefined without Podman. */
  readonly version: string | undefined
  /** `cni` or `netavark`; undefined when Podman does not say. */
  readonly backend: string | undefined
  /** Names of `podman network ls`. */
  readonly seen: readonly string[]
  /** Ours, in either form. */
  readonly networks: readonly Pick<FlatnetNetwork, 'name' | 'dialect' | 'file'>[]
}

export function gatherPodman(host: Host, networks: PodmanFacts['networks']): PodmanFacts {
  const version = host.run('podman', ['--version'])?.stdout.match(/\d+\.\d+\.\d+\S*/)?.[0]
  if (version === undefined) return { version, backend: undefined, seen: [], networks }
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
  return { version, backend: info?.host?.networkBackend, seen, networks }
}

const USE_CNI =
  'flatnet install --configure-podman, or put these two lines into /etc/containers/containers.conf: ' +
  '[network] and network_backend = "cni"; containers that exist keep netavark until they are made anew'

/** What is in force, or would be where Podman does not say. */
const spoken = (f: PodmanFacts): Dialect => dialectOf(f, f.networks[0]?.dialect)

function judgeBackend(f: PodmanFacts, version: string): Finding {
  if (f.backend === 'cni') return ok('podman-backend', `Podman ${version} uses CNI`)
  if (f.backend === 'netavark' && hasNetavarkPlugins(version))
    return ok('podman-backend', `Podman ${version} uses netavark, with Flatnet as its plugin`)
  if (f.backend === undefined) {
    return warn(
      'podman-backend',
      'podman info does not name its network backend',
      hasCni(f) ? 'it has to be cni' : 'it has to be netavark',
      hasCni(f) ? USE_CNI : 'podman info says what is wrong with this Podman; netavark may not be installed',
    )
  }
  return fail(
    'podman-backend',
    `Podman ${version} uses ${f.backend}, not CNI`,
    '`podman run --network flatnet` says that there is no such network',
    USE_CNI,
  )
}

const FORMS: Readonly<Record<Dialect, string>> = { cni: 'a conflist', netavark: 'a network file' }

/** After an upgrade of Podman: the network is there in the form of the one before. */
function judgeForm(f: PodmanFacts, dialect: Dialect): Finding[] {
  const names = new Set(f.networks.filter((n) => n.dialect === dialect).map(({ name }) => name))
  return f.networks.flatMap(({ name, file, dialect: other }) => {
    if (names.has(name)) return []
    return [
      fail(
        'podman-network',
        `network ${name} is ${FORMS[other]}, ${file}, and Podman ${f.version} reads ${FORMS[dialect]}`,
        '`podman run --network` does not find it',
        `flatnet install --network ${name} moves it; leases and addresses stay`,
      ),
    ]
  })
}

const REASONS: Readonly<Record<Dialect, readonly [why: string, fix: string]>> = {
  cni: [
    'it skips a conflist whose plugin is missing, broken or of another cniVersion, and reads one directory only',
    'podman --log-level=warn network ls names the reason; the other findings here mostly say it too',
  ],
  netavark: [
    'it skips a file that it cannot read, and one whose name is not that of the network inside',
    'podman --log-level=warn network ls names the reason; the other findings here mostly say it too',
  ],
}

function judgeSeen(f: PodmanFacts): Finding[] {
  const dialect = spoken(f)
  if (f.backend !== dialect || f.networks.length === 0) return []
  const expected = f.networks.filter((n) => n.dialect === dialect).map(({ name }) => name)
  const missing = expected.filter((name) => !f.seen.includes(name))
  if (missing.length > 0)
    return [
      fail('podman-network', `Podman does not list ${missing.join(', ')}`, ...REASONS[dialect]),
      ...judgeForm(f, dialect),
    ]
  const wrong = judgeForm(f, dialect)
  return wrong.length > 0 ? wrong : [ok('podman-network', `Podman lists ${expected.join(', ')}`)]
}

export function judgePodman(f: PodmanFacts): Finding[] {
  if (f.version === undefined) {
    return [
      warn(
        'podman',
        'podman is not installed, or not on the PATH',
        'containers then come from another CNI runtime, or not at all',
        'apt-get install podman',
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
    return gatherPodman(host, places.networks)
  },
  judge: judgePodman,
})
