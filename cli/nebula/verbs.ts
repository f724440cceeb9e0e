/** What `flatnet nebula` does: a CA, keys, certificates with the hosts' slices, and the configuration. */

import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { DaemonConf } from '../../conf/daemon.ts'
import { formatPrefix, sizeOf } from '../../core/addr.ts'
import type { HostView } from '../../gateway/api/host-view.ts'
import {
  NEBULA_GROUP,
  type NebulaFiles,
  nebulaCidr,
  nebulaFiles,
  nebulaFolder,
  sliceOf,
} from '../../gateway/dataplane/nebula/overlay.ts'
import { renderNebula } from '../../gateway/dataplane/nebula/render.ts'
import { INSTALL_NEBULA, type NebulaVersion, parseVersion } from '../../gateway/dataplane/nebula/version.ts'
import type { Host } from '../host/host.ts'
import { CliError } from '../ui/output.ts'
import { type CertificateInfo, CertTool } from './cert-tool.ts'

export interface Around {
  readonly host: Host
  readonly conf: DaemonConf
}

export interface Made extends CertificateInfo {
  readonly files: readonly string[]
}

const ownFiles = ({ conf }: Around): NebulaFiles => nebulaFiles(nebulaFolder(conf.dataDir))

export function makeCa(around: Around, { name, duration }: { name: string; duration: string }): Made {
  const { conf, host } = around
  const tool = new CertTool(host)
  const { caCrt: crt, caKey: key, folder } = ownFiles(around)
  refuseToReplace(crt, key)
  makeFolder(folder)
  const network = formatPrefix(conf.paths.nebula.network)
  tool.makeCa({
    name,
    duration,
    network,
    supernet: formatPrefix(conf.supernet),
    group: NEBULA_GROUP,
    crt,
    key,
  })
  return { ...tool.read(crt), files: [crt, key] }
}

/** On a host whose key is to stay where it was made. */
export function makeKey(around: Around): { readonly files: readonly string[] } {
  const tool = new CertTool(around.host)
  const { folder, hostKey, hostPub } = ownFiles(around)
  refuseToReplace(hostKey, hostPub)
  makeFolder(folder)
  tool.makeKey(hostKey, hostPub)
  return { files: [hostKey, hostPub] }
}

export interface HostOptions {
  /** Absent: this host. */
  readonly hostId?: number | undefined
  /** Absent: among this host's own files, or a folder of that host beside them. */
  readonly out?: string | undefined
  /** The file that `flatnet nebula key` made there. */
  readonly publicKey?: string | undefined
  /** The folder with ca.crt and ca.key of a CA that `flatnet nebula ca` has not made. Absent: among the own files. */
  readonly ca?: string | undefined
  readonly duration?: string | undefined
}

export function makeHost(around: Around, options: HostOptions): Made {
  const { conf, host } = around
  const own = ownFiles(around)
  const hostId = options.hostId ?? conf.hostId
  refuseHost(conf, hostId)
  const tool = new CertTool(host)
  const isOwn = options.hostId === undefined && options.out === undefined
  const to = isOwn ? own : nebulaFiles(options.out ?? `${own.folder}/host-${hostId}`)
  const ca = options.ca === undefined ? own : nebulaFiles(options.ca)
  for (const file of [ca.caCrt, ca.caKey])
    if (!existsSync(file)) throw new CliError(`there is no ${file}`, 'make the CA first: flatnet nebula ca')
  const key = options.publicKey === undefined ? { out: to.hostKey } : { publicKey: options.publicKey }
  refuseToReplace(to.hostCrt, ...('out' in key ? [to.hostKey] : []))
  if (!isSameFile(ca.caCrt, to.caCrt)) refuseToReplace(to.caCrt)
  makeFolder(to.folder)
  tool.signHost({
    name: `host-${hostId}`,
    address: nebulaCidr(conf.paths.nebula.network, hostId),
    slice: formatPrefix(sliceOf(conf.supernet, conf.hostPrefix, hostId)),
    group: NEBULA_GROUP,
    ca: { crt: ca.caCrt, key: ca.caKey },
    crt: to.hostCrt,
    key,
    duration: options.duration,
  })
  if (!existsSync(to.caCrt)) copyFileSync(ca.caCrt, to.caCrt)
  return {
    ...tool.read(to.hostCrt),
    files: [to.caCrt, to.hostCrt, ...('out' in key ? [key.out] : [])],
  }
}

/** @param out a file to write; absent: only the text is returned */
export function makeConfig(around: Around, hosts: readonly HostView[], out: string | undefined): string {
  const { conf, host } = around
  const text = renderNebula({
    hostId: conf.hostId,
    supernet: conf.supernet,
    hostPrefix: conf.hostPrefix,
    nebula: conf.paths.nebula,
    folder: nebulaFolder(conf.dataDir),
    version: nebulaVersion(host),
    peers: hosts.flatMap(({ hostId, member }) =>
      hostId === conf.hostId || member?.state !== 'active' ? [] : [{ hostId, endpoints: member.endpoints }],
    ),
  })
  if (out === undefined) return text
  refuseToReplace(out)
  writeFileSync(out, text, { mode: 0o600 })
  return text
}

function nebulaVersion(host: Host): NebulaVersion {
  const printed = host.run('nebula', ['-version'])
  if (printed === undefined) throw new CliError('nebula is not installed', `on Debian: ${INSTALL_NEBULA}`)
  const version = parseVersion(printed.stdout + printed.stderr)
  if (version === undefined)
    throw new CliError('nebula says no version that is understood', `on Debian: ${INSTALL_NEBULA}`)
  return version
}

function refuseHost({ hostPrefix, paths, supernet }: DaemonConf, hostId: number): void {
  const most = Math.min(2 ** (hostPrefix - supernet.prefixLen), sizeOf(paths.nebula.network.prefixLen)) - 2
  if (hostId >= 1 && hostId <= Math.max(1, most)) return
  throw new CliError(
    `there is no host ${hostId}`,
    `numbers go from 1 to ${Math.max(1, most)}; flatnet hosts lists them`,
  )
}

const isSameFile = (a: string, b: string): boolean =>
  a === b || (existsSync(b) && readFileSync(a, 'utf8') === readFileSync(b, 'utf8'))

/** A key that is lost takes every certificate of it along. */
function refuseToReplace(...files: readonly string[]): void {
  const [there] = files.filter((file) => existsSync(file))
  if (there === undefined) return
  throw new CliError(`${there} exists already`, 'move it away first if another one is to take its place')
}

function makeFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
}
