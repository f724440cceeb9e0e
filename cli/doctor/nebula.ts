/** Doctor, Nebula: its program, the certificates of this host, its device, and whether lighthouses answer. */
import type { DaemonConf } from '../../conf/daemon.ts'
import {
  certificateProblem,
  expiryOf,
  type NebulaCertificate,
  parseCertificates,
} from '../../gateway/dataplane/nebula/certificate.ts'
import { nebulaFiles, nebulaFolder } from '../../gateway/dataplane/nebula/overlay.ts'
import type { NebulaStatus } from '../../gateway/dataplane/nebula/service.ts'
import { INSTALL_NEBULA, parseVersion, tooOld } from '../../gateway/dataplane/nebula/version.ts'
import type { Host } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import { gatewayStatus } from '../host/status.ts'
import { counted } from '../ui/output.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

export interface NebulaFacts {
  /** undefined: Nebula is not used, or this host is in no cluster. */
  readonly conf: DaemonConf | undefined
  /** What `-version` printed; undefined: no such program; empty: it may not be executed. */
  readonly programs: Readonly<Record<'nebula' | 'nebula-cert', string | undefined>>
  /** undefined: they are missing or unreadable, or this is not root. */
  readonly certificates:
    | { readonly cas: readonly NebulaCertificate[]; readonly host: readonly NebulaCertificate[] }
    | undefined
  /** undefined: the gateway does not answer. */
  readonly status: NebulaStatus | undefined
  /** To how many hosts packets go by Nebula. */
  readonly users: number
  /** ms since the epoch. */
  readonly now: number
}

const WAYS = 'packets go by other ways: nothing is lost but this one'
const DAY_MS = 86_400_000
/** Nothing renews certificates of Nebula. */
const SOON_MS = 30 * DAY_MS

function printed(host: Host, program: 'nebula' | 'nebula-cert'): string | undefined {
  const ran = host.run(program, ['-version'])
  return ran && ran.stdout + ran.stderr
}

function certificatesOf(host: Host, { dataDir }: DaemonConf): NebulaFacts['certificates'] {
  if (host.uid() !== 0) return undefined
  const { caCrt, hostCrt } = nebulaFiles(nebulaFolder(dataDir))
  const read = (path: string): NebulaCertificate[] =>
    parseCertificates(host.run('nebula-cert', ['print', '-json', '-path', path])?.stdout ?? '')
  const [cas, own] = [read(caCrt), read(hostCrt)]
  return cas.length === 0 && own.length === 0 ? undefined : { cas, host: own }
}

async function gatherNebula(host: Host, places: Places): Promise<NebulaFacts> {
  const now = Date.now()
  const { conf } = places
  const off = { conf: undefined, programs: { nebula: undefined, 'nebula-cert': undefined } }
  const nothing = { ...off, certificates: undefined, status: undefined, users: 0, now }
  if (conf?.paths.nebula.enabled !== true) return nothing
  const status = await gatewayStatus(places).catch(() => undefined)
  if (status !== undefined && status.cluster === null) return nothing
  return {
    conf,
    programs: { nebula: printed(host, 'nebula'), 'nebula-cert': printed(host, 'nebula-cert') },
    certificates: certificatesOf(host, conf),
    status: status?.nebula ?? undefined,
    users: (status?.paths ?? []).filter(({ via }) => via === 'nebula').length,
    now,
  }
}

function judgeProgram({ programs }: NebulaFacts): Finding {
  const text = programs.nebula
  if (text === undefined) return warn('nebula-program', 'nebula is not installed', WAYS, INSTALL_NEBULA)
  const version = parseVersion(text)
  if (version === undefined) {
    const what = text === '' ? 'nebula may not be executed' : 'nebula says no version that is understood'
    return warn('nebula-program', what, WAYS, `chmod 755 its file, or install it anew: ${INSTALL_NEBULA}`)
  }
  const problem = tooOld(version)
  if (problem !== undefined) return warn('nebula-program', `nebula: ${problem}`, WAYS, INSTALL_NEBULA)
  return ok('nebula-program', `nebula ${version.text} is installed`)
}

function judgeCertificates({ certificates, conf, now, programs }: NebulaFacts): Finding[] {
  if (conf === undefined || certificates === undefined || programs['nebula-cert'] === undefined) return []
  const { hostId, hostPrefix, paths, supernet } = conf
  const slot = { hostId, hostPrefix, network: paths.nebula.network, supernet }
  const problem = certificateProblem({ ...slot, ...certificates, now })
  if (problem !== undefined) return [warn('nebula-certificate', problem.what, WAYS, problem.fix)]
  const validTo = expiryOf(certificates)
  const [own] = certificates.host
  const until = new Date(validTo).toISOString().slice(0, 10)
  const what = `Nebula's certificate for ${own?.networks.join(', ')} and slice ${own?.slices.join(', ')} is valid until ${until}`
  if (validTo - now > SOON_MS) return [ok('nebula-certificate', what)]
  const fix =
    'flatnet nebula host on the host with the CA makes another, which the gateway takes by itself; ' +
    'flatnet nebula ca where it is the CA that expires'
  return [warn('nebula-certificate', what, 'nothing renews it, and Nebula ends with it', fix)]
}

function judgeDevice({ status, users }: NebulaFacts): Finding[] {
  if (status === undefined) return []
  const { complaint, device, problem } = status
  if (problem !== null) return [warn('nebula-device', `Nebula: ${problem}`, WAYS, 'then flatnet status')]
  const found = [ok('nebula-device', `${device} is up and carries to ${counted(users, 'host')}`)]
  if (complaint === null) return found
  return [...found, warn('nebula-complaint', `Nebula: ${complaint}`, WAYS, 'then flatnet retry')]
}

function judgeLighthouses({ conf, status }: NebulaFacts): Finding[] {
  const lighthouses = status?.lighthouses ?? []
  if (lighthouses.length === 0) return []
  const silent = lighthouses.filter(({ state }) => state === 'silent').map(({ address }) => address)
  if (silent.length > 0) {
    const what = `${counted(silent.length, 'lighthouse')} of Nebula gave no answer: ${silent.join(', ')}`
    const fix =
      `let UDP ${conf?.paths.nebula.port} through to it; its address is in paths.nebula.lighthouses; ` +
      'its certificate must be of the same CA'
    return [warn('nebula-lighthouse', what, 'hosts behind NATs are not found by Nebula', fix)]
  }
  const answering = lighthouses.filter(({ state }) => state === 'answers').map(({ address }) => address)
  if (answering.length === 0) return []
  return [ok('nebula-lighthouse', `lighthouse ${answering.join(', ')} answers`)]
}

export function judgeNebula(facts: NebulaFacts): Finding[] {
  if (facts.conf === undefined) return []
  if (facts.conf.paths.nebula.device !== undefined) return judgeDevice(facts)
  return [judgeProgram(facts), ...judgeCertificates(facts), ...judgeDevice(facts), ...judgeLighthouses(facts)]
}

export const check = hostCheck({
  name: 'nebula',
  gather: ({ host, places }) => gatherNebula(host, places),
  judge: judgeNebula,
})
