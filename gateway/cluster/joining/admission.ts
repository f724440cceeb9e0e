/** The admitting host's side: lets newcomers with a token in, and renews members' certificates. */

import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Clock, Millis } from '../../../core/clock.ts'
import { formatEndpoint } from '../../../core/endpoint.ts'
import type { Log } from '../../../core/log.ts'
import { LogLimiter } from '../../base/log-limit.ts'
import { keyIdOf } from '../../links/tls.ts'
import type { ControlMessage } from '../../links/types.ts'
import type { KeyedPem } from '../identity/certificates.ts'
import { freeHostId, type MemberRecord, maxHostId, memberOf } from '../members/document.ts'
import { isEndpoints, MAX_ENDPOINTS } from '../members/endpoints.ts'
import type { ClusterState } from '../members/state.ts'
import { Conversation, JOIN_PROTOCOL, MAX_STRANGER_BYTES } from './conversation.ts'
import { FailureLimiter } from './limiter.ts'
import { Refusal } from './refusal.ts'
import type { Grant, TokenBook, TokenRecord } from './tokens.ts'

/** Request and answer, on a slow line. */
const EXCHANGE_MS: Millis = 10_000
/** Strangers that connect and say nothing may come by the thousand. */
const SAID_AGAIN_MS: Millis = 60_000
const MAX_REQUEST_CHARS = 4_096
/** A host that was off for longer than this after its certificate ended is brought in anew: `token --replace`. */
const RENEWAL_GRACE_MS: Millis = 90 * 86_400_000

export interface AdmissionDeps {
  readonly state: ClusterState
  readonly tokens: TokenBook
  readonly clock: Clock
  readonly log: Log
  /** Flatnet's version, sent to newcomers for the error when the protocols differ. */
  readonly version: string
  /** `outcome`: `joined`, `renewed` or the code of a Refusal. */
  count(outcome: string): void
}

interface Newcomer {
  readonly secret: string
  readonly requestPem: string
  readonly name: string
  readonly endpoints: readonly string[]
}

export class Admission {
  readonly #deps: AdmissionDeps
  readonly #limiter = new FailureLimiter()
  readonly #said = new LogLimiter(SAID_AGAIN_MS)

  constructor(deps: AdmissionDeps) {
    this.#deps = deps
  }

  /**
   * Called by the links for a newcomer's connection; never throws.
   * @param asked called when its question is there
   */
  answer(socket: TLSSocket, asked: () => void): void {
    const address = socket.remoteAddress ?? ''
    const conversation = new Conversation(socket, { maxBytes: MAX_STRANGER_BYTES, timeoutMs: EXCHANGE_MS })
    void this.#converse(conversation, socket, asked)
      .catch((err: unknown) => this.#refuse(conversation, address, err))
      .finally(() => conversation.close())
  }

  async #converse(conversation: Conversation, socket: TLSSocket, asked: () => void): Promise<void> {
    const { state, clock, version } = this.#deps
    const { identity } = state
    conversation.send({
      type: 'join.hello',
      protocol: JOIN_PROTOCOL,
      version,
      cluster: identity.cluster,
      hostId: identity.hostId,
      ca: identity.caPem,
      now: clock.now(),
    })
    const message = await conversation.receive()
    asked()
    const address = socket.remoteAddress ?? ''
    if (this.#limiter.isBlocked(address, clock.monotonic()) && !this.#hasProof(message)) {
      throw new Refusal('busy', 'too many failed tries from this address: wait a minute')
    }
    if (message.type === 'join.request') {
      conversation.send(await this.#join(newcomerOf(message), socket))
    } else if (message.type === 'join.renew') {
      conversation.send(await this.renew(this.#keyOfExpired(socket), message['requestPem']))
    } else throw new Refusal('request', `no message of type ${message.type} is known here`)
  }

  /**
   * Whether it shows what cannot be guessed: a token of this host, or a certificate of this cluster, which a renewal is
   * refused without. Others behind the same address, who only guess, must not keep it out.
   */
  #hasProof(message: ControlMessage): boolean {
    return message.type === 'join.request'
      ? this.#deps.tokens.has(newcomerOf(message).secret)
      : message.type === 'join.renew'
  }

  #refuse(conversation: Conversation, address: string, err: unknown): void {
    const { clock, log, count } = this.#deps
    const known = err instanceof Refusal ? err : undefined
    // One that says nothing, or breaks off, has guessed nothing.
    if (known !== undefined) this.#limiter.failed(address, clock.monotonic())
    count(known?.code ?? 'failed')
    if (known !== undefined) {
      conversation.send({ type: 'join.refused', code: known.code, reason: known.message })
      log.warn({ endpoint: address, reason: known.message }, 'newcomer refused')
    } else {
      const level = this.#said.isDue(address, clock.monotonic()) ? 'info' : 'debug'
      log[level]({ endpoint: address, err }, 'newcomer failed')
    }
  }

  async #join(newcomer: Newcomer, socket: TLSSocket): Promise<ControlMessage> {
    const { state, tokens, clock, log, count } = this.#deps
    const caKeyPem = this.#demandKey()
    const certificates = await import('../identity/certificates.ts')
    const keyId = await certificates.keyIdOfRequest(newcomer.requestPem).catch((err: Error) => {
      throw new Refusal('request', err.message)
    })
    // From here to the change of the list nothing waits, so that of two that come with one token one is first.
    const now = clock.now()
    const shown = tokens.show(newcomer.secret, keyId, now)
    if (!shown.ok) throw new Refusal(shown.code, shown.reason)
    const { hostId, record } = this.#choose(shown.record, keyId, newcomer, socket)
    tokens.spend(shown.record, keyId, hostId, now)
    if (record !== undefined) state.change(record)
    const certPem = await this.#issue(caKeyPem, newcomer.requestPem, hostId)
    count('joined')
    log.info({ peer: hostId, endpoint: socket.remoteAddress }, 'host admitted')
    const endpoints = state.endpoints.all()
    return { type: 'join.welcome', hostId, certPem, members: state.sealed, endpoints }
  }

  /** Which number the key gets, and the record that says so; no record when it has it already. */
  #choose(
    token: TokenRecord,
    keyId: string,
    newcomer: Newcomer,
    socket: TLSSocket,
  ): { hostId: number; record?: MemberRecord } {
    const { state, clock } = this.#deps
    const { document } = state
    const known = document.members.find((m) => m.keyId === keyId || m.formerKeys.includes(keyId))
    if (known !== undefined) {
      const refusal = state.refusal(known.hostId, keyId)
      if (refusal !== undefined)
        throw new Refusal('revoked', `the key of this host is known here: ${refusal}`)
      return { hostId: known.hostId }
    }
    const hostId = this.#numberFor(token)
    const former = memberOf(document, hostId)
    const now = new Date(clock.now()).toISOString()
    return {
      hostId,
      record: {
        hostId,
        keyId,
        formerKeys: former === undefined ? [] : [...former.formerKeys, former.keyId],
        name: newcomer.name,
        endpoints: withSource(newcomer.endpoints, socket.remoteAddress),
        admits: false,
        state: 'active',
        joinedAt: now,
        changedAt: now,
      },
    }
  }

  #numberFor({ replaces, hostId, spent }: TokenRecord): number {
    const { document } = this.#deps.state
    if (replaces !== undefined) return replaces
    const wanted = hostId ?? spent?.hostId
    if (wanted !== undefined && memberOf(document, wanted) === undefined) return wanted
    if (hostId !== undefined) throw new Refusal('taken', takenText(hostId))
    const free = freeHostId(document, maxHostId(document))
    if (free !== undefined) return free
    throw new Refusal(
      'full',
      `all ${maxHostId(document)} numbers of ${document.supernet} were given: ` +
        'let it replace a host that is gone, flatnet token --replace N',
    )
  }

  /** The handshake has proven that the key is held; the certificate may have expired, but not long ago. */
  #keyOfExpired(socket: TLSSocket): string {
    const { state, clock } = this.#deps
    const cert = socket.getPeerX509Certificate()
    if (cert === undefined || !cert.verify(new X509Certificate(state.identity.caPem).publicKey)) {
      throw new Refusal('request', 'only a member can renew: there is no certificate of this cluster')
    }
    if (clock.now() - Date.parse(cert.validTo) > RENEWAL_GRACE_MS) {
      throw new Refusal(
        'expired',
        `the certificate ended on ${cert.validTo}, too long ago: bring the host in again, flatnet token --replace N`,
      )
    }
    return keyIdOf(cert)
  }

  /**
   * A new certificate for the key that a member has.
   * @param keyId of the connection that asks
   * @throws {Refusal}
   */
  async renew(keyId: string, requestPem: unknown): Promise<ControlMessage> {
    const { state, count, log } = this.#deps
    const caKeyPem = this.#demandKey()
    if (typeof requestPem !== 'string' || requestPem.length > MAX_REQUEST_CHARS) {
      throw new Refusal('request', 'the request for a certificate is missing or too long')
    }
    const member = state.document.members.find((m) => m.keyId === keyId)
    if (member === undefined) {
      throw new Refusal('revoked', 'no member has this key: bring the host in again with flatnet token')
    }
    const refusal = state.refusal(member.hostId, keyId)
    if (refusal !== undefined && member.hostId !== state.identity.hostId)
      throw new Refusal('revoked', refusal)
    const certificates = await import('../identity/certificates.ts')
    if ((await certificates.keyIdOfRequest(requestPem)) !== keyId) {
      throw new Refusal('request', 'the request is for another key')
    }
    const certPem = await this.#issue(caKeyPem, requestPem, member.hostId)
    count('renewed')
    log.info({ peer: member.hostId }, 'certificate renewed for a host')
    return { type: 'join.renewed', certPem, members: state.sealed }
  }

  /** What a token may grant is judged when it is made, so that the error meets the operator and not the newcomer. */
  refusalOfGrant({ hostId, replaces }: Grant): string | undefined {
    const { state } = this.#deps
    if (hostId !== undefined && (hostId < 1 || hostId > maxHostId(state.document))) {
      return `hostId must be from 1 to ${maxHostId(state.document)}`
    }
    if (hostId !== undefined && memberOf(state.document, hostId) !== undefined) return takenText(hostId)
    if (replaces === undefined) return undefined
    if (replaces === state.identity.hostId)
      return `host ${replaces} is this one: it cannot admit its own successor`
    return memberOf(state.document, replaces) === undefined
      ? `there never was a host ${replaces}: flatnet hosts lists all that are and were`
      : undefined
  }

  async #issue(caKeyPem: string, requestPem: string, hostId: number): Promise<string> {
    const { state, clock } = this.#deps
    const { issue } = await import('../identity/certificates.ts')
    const ca: KeyedPem = { certPem: state.identity.caPem, keyPem: caKeyPem }
    return issue(ca, requestPem, { cluster: state.identity.cluster, hostId, now: clock.now() })
  }

  #demandKey(): string {
    try {
      return this.#deps.state.demandCaKey()
    } catch (err) {
      throw new Refusal('not-admitting', err instanceof Error ? err.message : String(err))
    }
  }
}

const takenText = (hostId: number): string =>
  `hostId ${hostId} was given before, and a number is not given twice; ` +
  `for a new machine in its place: --replace ${hostId}`

/** Where the request came from, with the port that the newcomer listens on: behind NAT it may be the only way. */
function withSource(endpoints: readonly string[], remote: string | undefined): string[] {
  const port = Number(endpoints[0]?.split(':').at(-1))
  const source = remote?.replace(/^::ffff:/, '')
  const all = source === undefined || !(port > 0) ? endpoints : [...endpoints, formatEndpoint(source, port)]
  return [...new Set(all)].slice(0, MAX_ENDPOINTS)
}

/** @throws {Refusal} */
export function newcomerOf(message: ControlMessage): Newcomer {
  const { secret, requestPem, name, endpoints, protocol } = message as Record<string, unknown>
  if (protocol !== JOIN_PROTOCOL) {
    throw new Refusal(
      'protocol',
      `this host speaks join protocol ${JOIN_PROTOCOL}, the newcomer ${protocol}: install the same version on both`,
    )
  }
  const isFit =
    typeof secret === 'string' &&
    /^[0-9a-f]{32}$/.test(secret) &&
    typeof requestPem === 'string' &&
    requestPem.length <= MAX_REQUEST_CHARS &&
    isEndpoints(endpoints)
  if (!isFit) throw new Refusal('request', 'the request is not one that a joining host makes')
  const text = typeof name === 'string' ? name.replaceAll(/[^\w.-]/g, '').slice(0, 63) : ''
  return { secret, requestPem, name: text, endpoints }
}
