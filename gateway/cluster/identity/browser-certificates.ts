/** Certificates for HTTPS from the cluster's CA: signed here where its key is, else by an admitting host. */

import type { Millis } from '../../../core/clock.ts'
import { FlatnetError } from '../../../core/errors.ts'
import type { ControlMessage } from '../../links/types.ts'
import type { ClusterState } from '../members/state.ts'
import type { BrowserCa } from './browser-ca.ts'
import { LinkQuestion } from './link-question.ts'
import { isCertifiable } from './private-names.ts'

export interface BrowserCertificate {
  readonly certPem: string
  readonly keyPem: string
  /** Of the CA, for a person to import. */
  readonly caPem: string
}

export interface BrowserCertificatesDeps {
  readonly state: ClusterState
  /** `ingress.domains` of this host. */
  readonly domains: readonly string[]
  readonly clock: { now(): Millis; monotonic(): Millis }
  send(hostId: number, message: ControlMessage): boolean
}

const MAX_NAMES = 64
const MAX_REQUEST_CHARS = 4_096
/** Of one host: it starts with one, and then has one for each name that browsers ask for. */
const MAX_A_MINUTE = 60

export class BrowserCertificates {
  readonly #deps: BrowserCertificatesDeps
  readonly #question: LinkQuestion
  readonly #issued = new Map<number, { since: Millis; count: number }>()
  #ca: { readonly keyPem: string; readonly made: Promise<BrowserCa> } | undefined

  constructor(deps: BrowserCertificatesDeps) {
    this.#deps = deps
    this.#question = new LinkQuestion({
      question: 'cluster.certify',
      answer: 'cluster.certified',
      send: deps.send,
      answerTo: (hostId, message) => this.#answer(hostId, message),
    })
  }

  readonly onQuestion = (from: number, message: ControlMessage): void =>
    void this.#question.onQuestion(from, message)

  readonly onAnswer = (from: number, message: ControlMessage): void => this.#question.onAnswer(from, message)

  /** Whether a certificate for it can be had. */
  isCertifiable(name: string): boolean {
    return isCertifiable(name, this.#deps.domains)
  }

  /**
   * @param names and addresses, each certifiable
   * @throws {Error} no admitting host was reached, or it refuses
   */
  async certify(names: readonly string[]): Promise<BrowserCertificate> {
    const { makeServerRequest } = await import('./browser-ca.ts')
    const { keyPem, requestPem } = await makeServerRequest()
    const { certPem, caPem } = await this.#issuedFor(requestPem, names)
    this.#deps.state.files.write('browserCaPem', caPem)
    return { certPem, keyPem, caPem }
  }

  /** As `certify`, for this host's own names: kept for the next start, when the admitting host may be away. */
  async certifyHost(names: readonly string[]): Promise<BrowserCertificate> {
    const certified = await this.certify(names)
    this.#deps.state.files.write('browserKeyPem', certified.keyPem)
    this.#deps.state.files.write('browserCertPem', certified.certPem)
    return certified
  }

  /** What `certifyHost` has kept; the two may not fit where a crash came between. */
  kept(): { readonly certPem: string; readonly keyPem: string } | undefined {
    const { files } = this.#deps.state
    const [certPem, keyPem] = [files.read('browserCertPem'), files.read('browserKeyPem')]
    return certPem === undefined || keyPem === undefined ? undefined : { certPem, keyPem }
  }

  /** @throws {FlatnetError} this host neither has the CA's key nor has got a certificate */
  async caPem(): Promise<string> {
    const here = await this.#caHere()
    const known = here?.certPem ?? this.#deps.state.files.read('browserCaPem')
    if (known !== undefined) return known
    throw new FlatnetError(
      'ERR_FLATNET_CONFIG',
      'this host has no certificate of that CA yet: ask on the host that admits others (flatnet hosts names it), or set ingress.tls: internal',
    )
  }

  async #issuedFor(
    requestPem: string,
    names: readonly string[],
  ): Promise<{ certPem: string; caPem: string }> {
    const ca = await this.#caHere()
    if (ca !== undefined) return this.#sign(ca, requestPem, names)
    const { state } = this.#deps
    let last: unknown = new Error('no host of this cluster admits')
    for (const { admits, hostId, state: its } of state.document.members) {
      if (!admits || its !== 'active') continue
      try {
        const { certPem, caPem } = await this.#question.ask(hostId, { requestPem, names })
        return { certPem: String(certPem), caPem: String(caPem) }
      } catch (err) {
        last = err
      }
    }
    throw last
  }

  async #answer(hostId: number, { requestPem, names }: ControlMessage): Promise<Record<string, unknown>> {
    const ca = await this.#caHere()
    if (ca === undefined) throw new Error("this host has not the CA's key")
    if (typeof requestPem !== 'string' || requestPem.length > MAX_REQUEST_CHARS)
      throw new Error('the request for a certificate is missing or too long')
    if (!isNames(names)) throw new Error(`names must be 1 to ${MAX_NAMES} texts`)
    const wrong = names.find((name) => !this.isCertifiable(name))
    if (wrong !== undefined)
      throw new Error(`"${wrong.slice(0, 80)}" is no private name: ingress.domains of this host can allow it`)
    if (!this.#mayIssue(hostId)) throw new Error('too many certificates in a minute')
    return { ...(await this.#sign(ca, requestPem, names)) }
  }

  #mayIssue(hostId: number): boolean {
    const now = this.#deps.clock.monotonic()
    const known = this.#issued.get(hostId)
    const window = known === undefined || now - known.since >= 60_000 ? { since: now, count: 0 } : known
    this.#issued.set(hostId, window)
    return ++window.count <= MAX_A_MINUTE
  }

  async #sign(
    ca: BrowserCa,
    requestPem: string,
    names: readonly string[],
  ): Promise<{ certPem: string; caPem: string }> {
    const { issueForServer } = await import('./browser-ca.ts')
    const certPem = await issueForServer(ca, requestPem, names, this.#deps.clock.now())
    return { certPem, caPem: ca.certPem }
  }

  /** Made once: its signature takes a few ms. @returns undefined: the key is on another host */
  async #caHere(): Promise<BrowserCa | undefined> {
    const { caKeyPem, identity } = this.#deps.state
    if (caKeyPem === undefined) return undefined
    if (this.#ca?.keyPem !== caKeyPem) {
      const { browserCa } = await import('./browser-ca.ts')
      this.#ca = { keyPem: caKeyPem, made: browserCa(identity.cluster, identity.caPem, caKeyPem) }
    }
    return this.#ca?.made
  }
}

const isNames = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.length <= MAX_NAMES &&
  value.every((name) => typeof name === 'string')
