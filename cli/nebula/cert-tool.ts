/** Runs nebula-cert, with the flags of the release that is installed. */

import { chmodSync } from 'node:fs'
import { parseCertificates } from '../../gateway/dataplane/nebula/certificate.ts'
import {
  hasNetworkFlags,
  INSTALL_NEBULA,
  type NebulaVersion,
  parseVersion,
  tooOld,
} from '../../gateway/dataplane/nebula/version.ts'
import type { Host } from '../host/host.ts'
import { CliError } from '../ui/output.ts'

export interface CaRequest {
  readonly name: string
  /** Of addresses in Nebula; the CA signs no others. */
  readonly network: string
  /** Of containers; the CA signs no slice outside of it. */
  readonly supernet: string
  readonly group: string
  /** `87600h` */
  readonly duration: string
  readonly crt: string
  readonly key: string
}

export interface HostRequest {
  readonly name: string
  /** `10.101.0.2/16` */
  readonly address: string
  /** `10.100.2.0/24` */
  readonly slice: string
  readonly group: string
  readonly ca: { readonly crt: string; readonly key: string }
  readonly crt: string
  /** Where the key is put, or the public key of one that the host has made itself. */
  readonly key: { readonly out: string } | { readonly publicKey: string }
  /** Absent: as long as the CA. */
  readonly duration?: string | undefined
}

/** As `nebula-cert print` shows it. */
export interface CertificateInfo {
  readonly name: string
  readonly fingerprint: string
  /** ISO 8601, UTC. */
  readonly validTo: string
}

/** @throws {CliError} there is none, or one that is too old */
function toolVersion(host: Host): NebulaVersion {
  const printed = host.run('nebula-cert', ['-version'])
  if (printed === undefined)
    throw new CliError('nebula-cert is not installed', `on Debian: ${INSTALL_NEBULA}`)
  const version = parseVersion(printed.stdout + printed.stderr)
  const problem = version === undefined ? 'says no version that is understood' : tooOld(version)
  if (version !== undefined && problem === undefined) return version
  throw new CliError(`nebula-cert: ${problem}`, `install Nebula 1.6 or later; on Debian: ${INSTALL_NEBULA}`)
}

export class CertTool {
  readonly version: NebulaVersion
  readonly #host: Host

  /** @throws {CliError} nebula-cert is not installed, or too old */
  constructor(host: Host) {
    this.version = toolVersion(host)
    this.#host = host
  }

  makeCa({ crt, duration, group, key, name, network, supernet }: CaRequest): void {
    const own = hasNetworkFlags(this.version)
      ? // Releases before 1.10, which other hosts may have, read certificates of version 1 only.
        ['-version', '1', '-networks', network, '-unsafe-networks', supernet]
      : ['-ips', network, '-subnets', supernet]
    const common = ['-name', name, '-duration', duration, '-groups', group, '-out-crt', crt, '-out-key', key]
    this.#run('ca', ...common, ...own)
    chmodSync(key, 0o600)
  }

  makeKey(key: string, publicKey: string): void {
    this.#run('keygen', '-out-key', key, '-out-pub', publicKey)
    chmodSync(key, 0o600)
  }

  signHost({ address, ca, crt, duration, group, key, name, slice }: HostRequest): void {
    const own = hasNetworkFlags(this.version)
      ? ['-networks', address, '-unsafe-networks', slice]
      : ['-ip', address, '-subnets', slice]
    const common = ['-ca-crt', ca.crt, '-ca-key', ca.key, '-name', name, '-groups', group, '-out-crt', crt]
    const keys = 'out' in key ? ['-out-key', key.out] : ['-in-pub', key.publicKey]
    this.#run('sign', ...common, ...keys, ...own, ...(duration === undefined ? [] : ['-duration', duration]))
    if ('out' in key) chmodSync(key.out, 0o600)
  }

  /** @throws {CliError} it is no certificate */
  read(path: string): CertificateInfo {
    // Since 1.10 a file may hold several.
    const [first] = parseCertificates(this.#run('print', '-json', '-path', path))
    if (first === undefined)
      throw new CliError(`nebula-cert prints no certificate of ${path}`, `nebula-cert print -path ${path}`)
    const { fingerprint, name, validTo } = first
    return { name, fingerprint, validTo: new Date(validTo).toISOString() }
  }

  #run(verb: string, ...args: string[]): string {
    const ran = this.#host.run('nebula-cert', [verb, ...args])
    if (ran?.code === 0) return ran.stdout
    // After its first line come all of its flags.
    const [why = ''] = (ran?.stderr || ran?.stdout || '').split('\n')
    throw new CliError(`nebula-cert ${verb} failed: ${why}`, 'see nebula-cert -h')
  }
}
