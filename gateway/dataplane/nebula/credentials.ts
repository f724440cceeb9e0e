/** The certificates of the Nebula that the gateway runs: judged before each start, and watched while it runs. */

import { existsSync, statSync } from 'node:fs'
import type { Clock } from '../../../core/clock.ts'
import {
  type CertificateFacts,
  certificateProblem,
  expiryOf,
  type NebulaCertificate,
  parseCertificates,
} from './certificate.ts'
import type { NebulaFiles } from './overlay.ts'
import { NebulaMissing, NebulaProblem, type Ran, runProgram } from './run.ts'

export type Slot = Omit<CertificateFacts, 'cas' | 'host' | 'now'>

type RunCert = (...args: readonly string[]) => Promise<Ran>

const runCert: RunCert = (...args) => runProgram('nebula-cert', ...args)

export class Credentials {
  readonly #files: NebulaFiles
  readonly #slot: Slot
  readonly #clock: Pick<Clock, 'now'>
  readonly #run: RunCert
  #stamp = ''
  #validTo: number | undefined

  constructor(files: NebulaFiles, slot: Slot, clock: Pick<Clock, 'now'>, run = runCert) {
    this.#files = files
    this.#slot = slot
    this.#clock = clock
    this.#run = run
  }

  /** When the first of them expires, ms since the epoch; undefined: not judged, or nebula-cert is not installed. */
  get validTo(): number | undefined {
    return this.#validTo
  }

  get isExpired(): boolean {
    return this.#validTo !== undefined && this.#clock.now() > this.#validTo
  }

  /** Other files than the last judged ones lie there. */
  get hasChanged(): boolean {
    return this.#stamp !== this.#read()
  }

  /** @throws {NebulaProblem} a file is missing, or Nebula would not get to other hosts with them */
  async judge(): Promise<void> {
    const { caCrt, hostCrt, hostKey } = this.#files
    this.#stamp = this.#read()
    this.#validTo = undefined
    for (const file of [caCrt, hostCrt, hostKey])
      if (!existsSync(file))
        throw new NebulaProblem(`there is no ${file}: flatnet nebula host makes it on the host with the CA`)
    try {
      const [cas, host] = [await this.#print(caCrt), await this.#print(hostCrt)]
      const problem = certificateProblem({ ...this.#slot, cas, host, now: this.#clock.now() })
      if (problem !== undefined) throw new NebulaProblem(`${problem.what}: ${problem.fix}`)
      this.#validTo = expiryOf({ cas, host })
    } catch (err) {
      // Then Nebula itself judges, in fewer words.
      if (!(err instanceof NebulaMissing)) throw err
    }
  }

  async #print(file: string): Promise<NebulaCertificate[]> {
    const { code, output } = await this.#run('print', '-json', '-path', file)
    if (code === 0) return parseCertificates(output)
    throw new NebulaProblem(`${file} is no certificate of Nebula: ${output.split('\n', 1)[0]?.slice(0, 200)}`)
  }

  #read(): string {
    const { caCrt, hostCrt, hostKey } = this.#files
    return [caCrt, hostCrt, hostKey]
      .map((file) => statSync(file, { throwIfNoEntry: false }))
      .map((stat) => `${stat?.ino} ${stat?.size} ${stat?.mtimeMs}`)
      .join(', ')
  }
}
