/** The newcomer's side: finds the admitting host, checks it against the token, and gets a certificate. */

import { X509Certificate } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import type { Millis } from '../../../core/clock.ts'
import { HANDSHAKE_MS } from '../../links/dial/dial.ts'
import { Alpn, parseEndpoint, peerIdOf } from '../../links/tls.ts'
import type { ControlMessage, Identity } from '../../links/types.ts'
import { type MembersDocument, memberOf, type SealedDocument, unseal } from '../members/document.ts'
import { type EndpointRecord, isEndpointRecord, isSignedBy } from '../members/endpoints.ts'
import { Conversation, JOIN_PROTOCOL, MAX_ANSWER_BYTES } from './conversation.ts'
import type { Token } from './tokens.ts'

const EXCHANGE_MS: Millis = 20_000
/** Certificates allow two hours; beyond this the operator should know before anything depends on it. */
const MAX_SKEW_MS: Millis = 5 * 60_000

/** `code`: a RefusalCode of the other side, or what was found on this one. */
export class JoinError extends Error {
  override readonly name = 'JoinError'
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The host that has to be at the other end. */
export interface Admitting {
  /** SHA-256 of the CA's certificate, hex. */
  readonly caFingerprint: string
  readonly hostId: number
  readonly addresses: readonly string[]
}

export interface Welcome {
  readonly hostId: number
  readonly caPem: string
  readonly certPem: string
  readonly sealed: SealedDocument
  readonly document: MembersDocument
  /** Where the members are, as they announced it. */
  readonly endpoints: readonly EndpointRecord[]
}

export interface JoinOptions {
  readonly requestPem: string
  readonly name: string
  readonly endpoints: readonly string[]
  /** Wall clock. */
  readonly now: Millis
}

/** @throws {JoinError} */
export async function requestJoin(token: Token, options: JoinOptions): Promise<Welcome> {
  const { requestPem, name, endpoints, now } = options
  const answer = await ask(token, undefined, now, {
    type: 'join.request',
    protocol: JOIN_PROTOCOL,
    secret: token.secret,
    requestPem,
    name,
    endpoints,
  })
  const { hostId, certPem, members, endpoints: said } = answer.message as Record<string, unknown>
  if (answer.message.type !== 'join.welcome' || typeof hostId !== 'number' || typeof certPem !== 'string') {
    throw new JoinError('protocol', 'the answer is not one that this version understands')
  }
  const document = unseal(members, answer.caPem)
  if (memberOf(document, hostId)?.state !== 'active') {
    throw new JoinError('protocol', 'the list of members in the answer does not have this host')
  }
  const isTrue = (r: unknown): r is EndpointRecord =>
    isEndpointRecord(r) && isSignedBy(r, document.cluster, memberOf(document, r.hostId)?.keyId ?? '')
  return {
    hostId,
    certPem,
    caPem: answer.caPem,
    sealed: members as SealedDocument,
    document,
    endpoints: Array.isArray(said) ? said.filter(isTrue) : [],
  }
}

/** @throws {JoinError} */
export async function requestRenewal(
  identity: Identity,
  admitting: Admitting,
  requestPem: string,
): Promise<{ certPem: string; sealed: unknown }> {
  const { message } = await ask(admitting, identity, undefined, { type: 'join.renew', requestPem })
  if (message.type !== 'join.renewed' || typeof message['certPem'] !== 'string') {
    throw new JoinError('protocol', 'the answer is not one that this version understands')
  }
  return { certPem: message['certPem'], sealed: message['members'] }
}

interface Answer {
  readonly message: ControlMessage
  readonly caPem: string
}

/** One address after the other; a refusal is an answer, so the others are not tried. */
async function ask(
  admitting: Admitting,
  identity: Identity | undefined,
  now: Millis | undefined,
  question: ControlMessage,
): Promise<Answer> {
  const failures: string[] = []
  for (const address of admitting.addresses) {
    try {
      return await askAt(address, admitting, identity, now, question)
    } catch (err) {
      if (err instanceof JoinError) throw err
      failures.push(`${address}: ${err instanceof Error ? err.message : String(err)}`)
    }
  }
  throw new JoinError(
    'unreachable',
    `host ${admitting.hostId} cannot be reached (${failures.join('; ') || 'no address of it is known'})`,
  )
}

async function askAt(
  address: string,
  admitting: Admitting,
  identity: Identity | undefined,
  now: Millis | undefined,
  question: ControlMessage,
): Promise<Answer> {
  const socket = await dial(address, identity)
  const conversation = new Conversation(socket, { maxBytes: MAX_ANSWER_BYTES, timeoutMs: EXCHANGE_MS })
  try {
    const hello = await conversation.receive()
    const caPem = judgeHello(hello, address, admitting, socket)
    if (now !== undefined) judgeClock(hello, now, admitting.hostId)
    conversation.send(question)
    const message = await conversation.receive()
    if (message.type === 'join.refused') {
      throw new JoinError(String(message['code']), `host ${admitting.hostId} refuses: ${message['reason']}`)
    }
    return { message, caPem }
  } finally {
    conversation.close()
  }
}

function dial(address: string, identity: Identity | undefined): Promise<TLSSocket> {
  const place = parseEndpoint(address)
  if (place === undefined) return Promise.reject(new Error('this is no host:port'))
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const socket = connect({
    ...place,
    ...(identity !== undefined && { cert: identity.certPem, key: identity.keyPem }),
    ALPNProtocols: [Alpn.join],
    minVersion: 'TLSv1.3',
    servername: '',
    // Judged in judgeHello, by the pinned CA: the handshake proves that the other side has its certificate's key.
    rejectUnauthorized: false,
  })
  socket.setTimeout(HANDSHAKE_MS, () =>
    socket.destroy(new Error(`no answer within ${HANDSHAKE_MS / 1000} s`)),
  )
  socket.once('error', reject)
  socket.once('close', () => reject(new Error('the connection was closed')))
  socket.once('secureConnect', () => {
    socket.setTimeout(0)
    resolve(socket)
  })
  return promise
}

/** @returns the CA's certificate, which is the pinned one */
function judgeHello(hello: ControlMessage, address: string, admitting: Admitting, socket: TLSSocket): string {
  const { ca, cluster, protocol, version } = hello as Record<string, unknown>
  if (hello.type !== 'join.hello' || typeof ca !== 'string' || typeof cluster !== 'string') {
    throw new Error('something else listens there')
  }
  const leaf = socket.getPeerX509Certificate()
  const caCert = new X509Certificate(ca)
  if (fingerprintOfCa(ca) !== admitting.caFingerprint) throw new Error('another cluster is at this address')
  if (leaf === undefined || !leaf.verify(caCert.publicKey)) {
    throw new JoinError('untrusted', `${address} shows a certificate that the cluster's CA has not signed`)
  }
  const found = peerIdOf(leaf, cluster)?.hostId
  if (found !== admitting.hostId) throw new Error(`host ${found} is at this address, not ${admitting.hostId}`)
  if (protocol !== JOIN_PROTOCOL) {
    throw new JoinError(
      'protocol',
      `host ${found} runs Flatnet ${version}, which speaks join protocol ${protocol}, ` +
        `and this one ${JOIN_PROTOCOL}: install the same version on both`,
    )
  }
  return ca
}

/** SHA-256 of the certificate (DER), hex: what a token pins. */
export const fingerprintOfCa = (caPem: string): string =>
  new X509Certificate(caPem).fingerprint256.replaceAll(':', '').toLowerCase()

function judgeClock(hello: ControlMessage, now: Millis, hostId: number): void {
  const theirs = Number(hello['now'])
  const offMs = now - theirs
  if (!Number.isFinite(theirs) || Math.abs(offMs) <= MAX_SKEW_MS) return
  const minutes = Math.round(Math.abs(offMs) / 60_000)
  const amount = minutes < 120 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`
  throw new JoinError(
    'clock',
    `this host's clock is ${amount} ${offMs > 0 ? 'ahead of' : 'behind'} that of host ${hostId}: ` +
      'set the wrong one right (timedatectl set-ntp true) and try again',
  )
}
