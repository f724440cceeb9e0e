/**
 * Certificates of the cluster's CA: one for this host's names and addresses, one for each container that is asked for.
 */

import { networkInterfaces } from 'node:os'
import { parseIpv4 } from '../../../core/addr.ts'
import type { Millis } from '../../../core/clock.ts'
import type { BrowserCertificates } from '../../cluster/identity/browser-certificates.ts'
import { resolveHost } from '../../registry/names.ts'
import type { IngressDeps } from '../deps.ts'
import { isServed } from '../host-names.ts'
import { type Certificate, readCertificate } from './certificate.ts'

/** A host has a handful of addresses; containers' bridges add to them. */
const MAX_ADDRESSES = 32
/** Of containers; the one that was asked for longest ago goes. */
const MAX_NAMES = 256
/** Any client may ask for any number of names: `web.a`, `web.b`, …; a key and two signatures take 2 ms. */
const MAX_BEGUN = 8
/** The link to the admitting host comes up a second or two after the start. */
const RETRY_MS: Millis = 2_000
const MAX_RETRY_MS: Millis = 300_000
/** Clients that ask for a name again must not ask the admitting host each time. */
const REFUSED_MS: Millis = 30_000

interface Known {
  readonly certificate: Certificate | undefined
  /** Monotonic: renewed, or tried again, from then on. */
  readonly until: Millis
}

const FILES = { at: 'ingress.tls.internal', cert: '(of the cluster)', key: '(of the cluster)' }

export class InternalCertificates {
  readonly #deps: IngressDeps
  readonly #issuer: BrowserCertificates | undefined
  readonly #known = new Map<string, Known>()
  readonly #begun = new Map<string, Promise<Certificate | undefined>>()
  #own: Certificate | undefined
  #ownNames = ''
  #renewsAt: Millis = 0
  #retryAt: Millis = 0
  #failures = 0
  #problem: string | undefined
  #isAsking = false

  /** @param issuer undefined: this host is in no cluster */
  constructor(deps: IngressDeps, issuer: BrowserCertificates | undefined) {
    this.#deps = deps
    this.#issuer = issuer
    if (issuer === undefined)
      this.#problem =
        'ingress.tls.internal is true and this host is in no cluster, whose CA it needs: flatnet init makes one; or set ingress.tls.cert and key'
  }

  /** For this host's own names and addresses. */
  get own(): Certificate | undefined {
    return this.#own
  }

  get problems(): readonly string[] {
    return this.#problem === undefined ? [] : [this.#problem]
  }

  /** Takes the certificate of the run before until `refresh` has a new one. @returns whether there is one */
  useKept(): boolean {
    const { log, scheduler } = this.#deps
    try {
      const kept = this.#issuer?.kept()
      const certificate = kept === undefined ? undefined : usable(kept)
      if (certificate !== undefined && scheduler.now() < certificate.validTo) this.#own = certificate
    } catch (err) {
      log.warn({ err }, 'kept certificate for browsers cannot be used')
    }
    return this.#own !== undefined
  }

  /**
   * Gets a certificate when there is none, it is due, or names or addresses have changed.
   * @returns whether it is new
   */
  async refresh(): Promise<boolean> {
    const issuer = this.#issuer
    const now = this.#deps.scheduler.now()
    if (issuer === undefined || this.#isAsking || now < this.#retryAt) return false
    const names = this.#namesHere(issuer)
    if (names.join() === this.#ownNames && now < this.#renewsAt) return false
    this.#isAsking = true
    try {
      this.#own = usable(await issuer.certifyHost(names))
      this.#ownNames = names.join()
      this.#renewsAt = now + ((this.#own.validTo - now) * 2) / 3
      this.#failures = 0
      this.#problem = undefined
      this.#deps.log.info({}, 'certificate for browsers came from the cluster')
      return true
    } catch (err) {
      this.#retryAt = now + Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** this.#failures++)
      const why = err instanceof Error ? err.message : String(err)
      this.#problem = `ingress.tls.internal: no certificate came from the cluster: ${why}; it is tried again`
      this.#deps.log.warn({ err }, 'certificate for browsers did not come from the cluster')
      return false
    } finally {
      this.#isAsking = false
    }
  }

  /** @returns undefined: no container is called so, or it cannot be certified */
  async forName(serverName: string): Promise<Certificate | undefined> {
    const { lookup, names, scheduler } = this.#deps
    const name = serverName.toLowerCase().replace(/\.$/, '')
    const issuer = this.#issuer
    if (issuer === undefined || !issuer.isCertifiable(name) || resolveHost(name, lookup) === undefined)
      return undefined
    if (name.includes('.') && !isServed(names, name)) return undefined
    const known = this.#known.get(name)
    if (known !== undefined && scheduler.monotonic() < known.until) return known.certificate
    const begun = this.#begun.get(name)
    if (begun !== undefined || this.#begun.size >= MAX_BEGUN) return begun ?? known?.certificate
    const asked = this.#ask(issuer, name).finally(() => this.#begun.delete(name))
    this.#begun.set(name, asked)
    return asked
  }

  async #ask(issuer: BrowserCertificates, name: string): Promise<Certificate | undefined> {
    const { log, scheduler } = this.#deps
    let certificate: Certificate | undefined
    let lastsMs: Millis = REFUSED_MS
    try {
      certificate = usable(await issuer.certify([name]))
      lastsMs = ((certificate.validTo - scheduler.now()) * 2) / 3
    } catch (err) {
      log.debug({ err }, 'certificate for a container did not come from the cluster')
    }
    this.#known.delete(name)
    this.#known.set(name, { certificate, until: scheduler.monotonic() + lastsMs })
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_NAMES && oldest !== undefined) this.#known.delete(oldest)
    return certificate
  }

  #namesHere(issuer: BrowserCertificates): string[] {
    const addresses = Object.values(networkInterfaces())
      .flatMap((list = []) => list.map(({ address }) => address))
      // With a zone only on this host.
      .filter(
        (address) =>
          !address.startsWith('fe80:') && (address.includes(':') || parseIpv4(address) !== undefined),
      )
    const all = [...this.#deps.names.own, ...[...new Set(addresses)].slice(0, MAX_ADDRESSES)]
    return all.filter((name) => issuer.isCertifiable(name)).sort()
  }
}

const usable = ({ certPem, keyPem }: { certPem: string; keyPem: string }): Certificate =>
  readCertificate(FILES, { cert: certPem, key: keyPem })
