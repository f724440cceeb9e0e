/** A TURN server as a function, for tests with a clock of their own: judges signatures, keeps one client's state. */
import { longTermKey } from '../../../gateway/dataplane/nat/turn/credentials.ts'
import {
  type DecodedTurn,
  decodeTurn,
  encodeTurn,
  type IntegrityHash,
  isSignedBy,
  type TurnMessage,
} from '../../../gateway/dataplane/nat/turn/message.ts'

type Reply = Partial<TurnMessage>

export class FakeTurn {
  /** Undefined: it answers nothing. */
  isUp = true
  users: Record<string, string> = { flatnet: 'right' }
  nonce = 'first'
  hash: IntegrityHash = 'sha1'
  /** PASSWORD-ALGORITHMS, if it offers them. */
  algorithms: Uint8Array | undefined
  hasAllocation = false
  relayed = '192.0.2.50:50000'
  /** Ms: of permissions and of the allocation. */
  now = 0
  /** An address that it refers every allocation to. */
  alternate: string | undefined
  /** It relays for IPv6 alone. */
  isV6 = false
  /** By user, ms: when its login ends. */
  readonly expiresAt = new Map<string, number>()
  /** Whether it looks at that time for each request, or only when an allocation begins, as coturn does. */
  isStrict = false
  /** Whether an allocation stays with the name that it began with (441). */
  isTied = true
  #owner: string | undefined
  #endsAt = Number.POSITIVE_INFINITY
  readonly #permittedUntil = new Map<string, number>()
  /** By method: what it answers instead. */
  readonly errors = new Map<string, number>()
  readonly asked: string[] = []
  readonly permitted = new Set<string>()
  readonly channels = new Map<number, string>()

  /** @returns the answer, if there is one */
  answer(bytes: Uint8Array): Uint8Array | undefined {
    const request = decodeTurn(bytes)
    if (!this.isUp || request?.kind !== 'request') return undefined
    const { method, transaction } = request
    this.asked.push(method === 'refresh' && request.lifetime === 0 ? 'release' : method)
    const refused = this.#refusal(bytes, request)
    if (refused !== undefined) return encodeTurn({ kind: 'error', method, transaction, ...refused })
    const reply = this.#act(request)
    const kind = reply.errorCode === undefined ? 'success' : 'error'
    return encodeTurn({ kind, method, transaction, ...reply }, this.#signing(request))
  }

  /** Whether it lets a peer's datagrams through now. */
  relays(ip: string): boolean {
    return this.hasAllocation && this.now < this.#endsAt && this.now < (this.#permittedUntil.get(ip) ?? 0)
  }

  /** A datagram of a peer that has no channel. */
  indication(peer: string, data: Uint8Array): Uint8Array {
    return encodeTurn({ kind: 'indication', method: 'data', transaction: '00'.repeat(12), peer, data })
  }

  #signing({ username = '', realm = '' }: DecodedTurn) {
    const password = this.users[username] ?? ''
    const hash = this.algorithms === undefined ? 'md5' : 'sha256'
    return { key: longTermKey({ username, password }, realm, hash), hash: this.hash } as const
  }

  #refusal(bytes: Uint8Array, request: DecodedTurn): Reply | undefined {
    const { algorithms, nonce } = this
    const challenge = { realm: 'test', nonce, ...(algorithms !== undefined && { algorithms }) }
    if (request.username === undefined) return { errorCode: 401, ...challenge }
    if (this.users[request.username] === undefined) return { errorCode: 401, ...challenge }
    if (!isSignedBy(bytes, request, this.#signing(request))) return { errorCode: 401, ...challenge }
    const isOver = this.now >= (this.expiresAt.get(request.username) ?? Number.POSITIVE_INFINITY)
    if (isOver && (this.isStrict || !this.hasAllocation)) return { errorCode: 401, ...challenge }
    return request.nonce === nonce ? undefined : { errorCode: 438, ...challenge }
  }

  #act(request: DecodedTurn): Reply {
    const { channel, lifetime = 600, method, peer, username } = request
    const error = this.errors.get(method)
    if (error !== undefined) return { errorCode: error }
    if (this.now >= this.#endsAt) this.hasAllocation = false
    if (method === 'allocate') return this.#allocate(request)
    if (!this.hasAllocation) return { errorCode: 437 }
    if (this.isTied && username !== (this.#owner ?? username)) return { errorCode: 441 }
    if (method === 'refresh') this.#endsAt = this.now + lifetime * 1_000
    if (method === 'refresh' && lifetime === 0) this.hasAllocation = false
    if (method === 'createPermission' && peer !== undefined) {
      const ip = peer.replace(/:\d+$/, '')
      this.permitted.add(ip)
      this.#permittedUntil.set(ip, this.now + 300_000)
    }
    if (method === 'channelBind' && peer !== undefined && channel !== undefined)
      this.channels.set(channel, peer)
    return { lifetime }
  }

  #allocate({ family, lifetime = 600, username }: DecodedTurn): Reply {
    if (this.hasAllocation) return { errorCode: 437 }
    if (this.alternate !== undefined) return { errorCode: 300, alternate: this.alternate }
    if (this.isV6 && family !== 6) return { errorCode: 440 }
    this.hasAllocation = true
    this.#owner = username
    this.#endsAt = this.now + lifetime * 1_000
    this.#permittedUntil.clear()
    return { relayed: this.relayed, lifetime }
  }
}
