/** Defines the lines between the gateway and its P2P process: one JSON object each, checked field by field. */

import { isObject } from '../../../core/json.ts'

/** Version of these lines. A gateway that finds another number in `hello` ends the process and starts its own. */
export const P2P_PROTOCOL = 1

/** A `hello` with 253 sessions is 120 KB. A longer line is none of this protocol: its sender is cut off. */
export const MAX_LINE_BYTES = 262_144

/** What one field may hold. */
interface Check<T> {
  readonly allowed: string
  fits(value: unknown): value is T
}
type Held<C> = C extends Check<infer T> ? T : never
type Fields = Readonly<Record<string, Check<unknown>>>
type OptionalKeys<F extends Fields> = { [K in keyof F]: undefined extends Held<F[K]> ? K : never }[keyof F]
type Values<F extends Fields> = { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: Held<F[K]> } & {
  readonly [K in OptionalKeys<F>]?: Exclude<Held<F[K]>, undefined>
}
type Schema = Readonly<Record<string, Fields>>
type Messages<S extends Schema> = { [K in keyof S]: { readonly type: K } & Values<S[K]> }[keyof S]

const check = <T>(allowed: string, fits: (value: unknown) => boolean): Check<T> => ({
  allowed,
  fits: (value): value is T => fits(value),
})
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const whole = (min: number, max: number): Check<number> =>
  check(
    `a whole number from ${min} to ${max}`,
    (v) => Number.isInteger(v) && Number(v) >= min && Number(v) <= max,
  )
const number = (min: number, max: number): Check<number> =>
  check(`a number from ${min} to ${max}`, (v) => isNumber(v) && v >= min && v <= max)
const text = (max: number): Check<string> =>
  check(`text of at most ${max} characters`, (v) => typeof v === 'string' && v.length <= max)
const hex = (digits: number): Check<string> =>
  check(
    `${digits} digits of hex`,
    (v) => typeof v === 'string' && v.length === digits && /^[0-9a-f]*$/.test(v),
  )
const flag: Check<boolean> = check('true or false', (v) => typeof v === 'boolean')
const oneOf = <const T extends readonly string[]>(...values: T): Check<T[number]> =>
  check(`one of ${values.join(', ')}`, (v) => values.some((value) => value === v))
const optional = <T>(inner: Check<T>): Check<T | undefined> =>
  check(`${inner.allowed}, or absent`, (v) => v === undefined || inner.fits(v))
const list = <T>(inner: Check<T>, max: number): Check<readonly T[]> =>
  check(
    `a list of at most ${max}, each ${inner.allowed}`,
    (v) => Array.isArray(v) && v.length <= max && v.every((each) => inner.fits(each)),
  )
const record = <const F extends Fields>(fields: F): Check<Values<F>> =>
  check(`an object with ${Object.keys(fields).join(', ')}`, (v) => problemOf(fields, v) === undefined)
const anyRecord: Check<Readonly<Record<string, unknown>>> = check('an object', isObject)

const hostId = whole(1, 0xffff_ffff)
/** Names one try of two hosts: 8 random bytes. */
const attempt = hex(16)
/** Rises with each promotion and demotion of a pair. An older order than the newest gets an answer and is ignored. */
const generation = whole(0, Number.MAX_SAFE_INTEGER)
const reason = text(200)
/** `192.0.2.1:7443` or `[2001:db8::1]:7443`. */
const address: Check<string> = check(
  'an address with a port, e.g. "192.0.2.1:7443" or "[2001:db8::1]:7443"',
  (v) =>
    typeof v === 'string' &&
    v.length <= 56 &&
    /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]):[1-9]\d{0,4}$/.test(v),
)
/** `isRelayed`: on a TURN server. */
const candidates = list(record({ address, isRelayed: optional(flag) }), 64)
/** Of paths.turn. */
export const MAX_TURN_SERVERS = 4
const turnName = text(270)
/** Of the configuration and members together. */
export const MAX_STUN_SERVERS = 16
const count = whole(0, Number.MAX_SAFE_INTEGER)
const millis = number(0, Number.MAX_SAFE_INTEGER)
const rate = number(0, 1)

/** Why the process removed a route by itself. */
export const DEMOTION_REASONS = [
  'no answer',
  'unreachable',
  'device lost',
  'peer said goodbye',
  'keys expired',
] as const
export type DemotionReason = (typeof DEMOTION_REASONS)[number]

const sessionView = record({
  hostId,
  attempt,
  generation,
  isPromoted: flag,
  /** Five round trips in a row, two of them full-size. */
  isProven: flag,
  isFullSize: flag,
  address: optional(address),
  /** The TURN server in between, as configured here; of a peer's server, its address. */
  turn: optional(turnName),
  rttMs: optional(millis),
  jitterMs: optional(millis),
  /** Share of the last 40 probes that got no answer. */
  lossRate: rate,
  /** The peer's own loss, as its probes tell. */
  peerLossRate: optional(rate),
  probes: record({ sent: count, answered: count, window: count }),
  /** Bytes of the largest IP packet of the underlay that got two answers. */
  /** Probes of the peer that arrived here, and when the last probe and the last answer did, ms since the epoch. */
  heard: optional(record({ probes: count, probeAt: optional(millis), answerAt: optional(millis) })),
  mtu: whole(576, 65_535),
  form: oneOf('whole', 'record'),
  txBytes: count,
  rxBytes: count,
  txBps: millis,
  rxBps: millis,
  /** Datagrams of this peer that were refused since the session began; `packets`: packets in opened datagrams. */
  refused: optional(record({ forged: count, replayed: count, malformed: count, packets: count })),
  /** Share of the datagrams with packets that did not arrive, over the last 10 s or so of sending. */
  dataLossRate: optional(rate),
  /** Since the last acknowledgement: in how many half seconds this host sent packets, and for how long. */
  unacknowledged: optional(record({ times: count, forMs: millis })),
  suspect: flag,
  /** By how much the process's loop was late at most since the last view. */
  lagMs: millis,
  /** Since when `isProven` has its value; ms since the epoch. */
  since: millis,
})
export type SessionView = Held<typeof sessionView>

const TO_PROCESS = {
  hello: { protocol: count, version: text(64) },
  session: {
    hostId,
    attempt,
    /** `exportKeyingMaterial(64, 'EXPORTER-flatnet-udp', …)` in hex. */
    secret: hex(128),
    candidates,
    /** The earlier end of both certificates, ms since the epoch. */
    validUntil: millis,
    /** Of the peer's addresses, others are neither probed nor answered; absent: all are used. */
    families: optional(list(oneOf('ipv4', 'ipv6'), 2)),
    /** Before the first probe: the peer starts then. */
    startInMs: optional(number(0, 10_000)),
  },
  candidates: { hostId, attempt, candidates },
  promote: { hostId, attempt, generation },
  demote: { hostId, generation, reason },
  end: { hostId, reason },
  /** Whether the gateway path could carry packets now: while it cannot, the process keeps its routes. */
  gatewayPath: { hostId, isUp: flag, rttMs: optional(millis) },
  /** Sends a fresh burst to all candidates of one peer, or of all peers without `hostId`. */
  probeNow: { hostId: optional(hostId) },
  /** Ask these STUN servers, once at least every `everyMs`. Answered by `ownAddresses`, now and after each change. */
  findAddresses: { servers: list(address, MAX_STUN_SERVERS), everyMs: millis },
  /** Use these TURN servers for peers that have no other way. Answered by `turn`, now and after each change. */
  useTurn: {
    servers: list(
      record({
        name: turnName,
        address,
        others: optional(list(address, 3)),
        username: text(512),
        password: optional(text(512)),
        secret: optional(text(512)),
      }),
      MAX_TURN_SERVERS,
    ),
  },
  stop: { reason },
} as const satisfies Schema
export type ToProcess = Messages<typeof TO_PROCESS>

const problem = optional(text(500))
const FROM_PROCESS = {
  hello: {
    protocol: count,
    version: text(64),
    pid: count,
    hostId,
    device: record({ ifname: text(15), problem }),
    udp: record({ port: whole(0, 65_535), problem }),
    /** `addresses`: it knows `findAddresses`; `turn`: it knows `useTurn`. */
    features: record({
      cipher: text(40),
      gso: flag,
      gro: flag,
      uso: flag,
      record: flag,
      addresses: optional(flag),
      turn: optional(flag),
    }),
    sessions: list(sessionView, 65_536),
  },
  state: {
    session: sessionView,
    /** Datagrams without a session: with an unknown index, or too short; STUN answers to no question. */
    strays: optional(count),
    unaskedStun: optional(count),
  },
  promoted: { hostId, attempt, generation },
  notPromoted: { hostId, attempt, generation, reason },
  /** Answers `demote`; sent by itself it has one of DEMOTION_REASONS. */
  demoted: { hostId, attempt, generation, reason },
  ended: { hostId, attempt, reason },
  /** This host's own address as that peer sees it. */
  observed: { hostId, address },
  /** Of this host's interfaces with its socket's port, as STUN servers see that socket, and on TURN servers. */
  ownAddresses: {
    hosts: list(address, 64),
    mapped: list(record({ server: address, address }), MAX_STUN_SERVERS),
    relayed: optional(list(address, MAX_TURN_SERVERS)),
  },
  turn: {
    servers: list(
      record({
        name: turnName,
        state: oneOf('idle', 'asking', 'ready', 'waiting'),
        problem: optional(text(500)),
        remedy: optional(text(500)),
        relayed: optional(address),
        rttMs: optional(millis),
      }),
      MAX_TURN_SERVERS,
    ),
  },
  device: { ifname: text(15), problem },
  udp: { port: whole(0, 65_535), problem },
  networkChanged: { what: text(200) },
  log: { level: oneOf('debug', 'info', 'warn', 'error'), msg: text(200), fields: anyRecord },
  /** The last line to a client whose line could not be understood; the connection is closed after it. */
  refused: { problem: text(500) },
} as const satisfies Schema
export type FromProcess = Messages<typeof FROM_PROCESS>

/** A malformed line. The message names the field, its value and what is allowed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** @throws {ProtocolError} */
export const parseToProcess = (line: string): ToProcess => parse(TO_PROCESS, line)
/** @throws {ProtocolError} */
export const parseFromProcess = (line: string): FromProcess => parse(FROM_PROCESS, line)

export const lineOf = (message: ToProcess | FromProcess): string => `${JSON.stringify(message)}\n`

/** Drops fields that the schema lacks, so that a newer side may add some without a new protocol number. */
function parse<S extends Schema>(schema: S, line: string): Messages<S> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new ProtocolError(`a line is ${show(line)}: must be one JSON object`)
  }
  const type = isObject(value) ? value['type'] : undefined
  const fields = typeof type === 'string' && Object.hasOwn(schema, type) ? schema[type] : undefined
  if (fields === undefined || !isObject(value))
    throw new ProtocolError(`type is ${show(type)}: must be one of ${Object.keys(schema).join(', ')}`)
  const wrong = problemOf(fields, value)
  if (wrong !== undefined) throw new ProtocolError(`${type}: ${wrong}`)
  const known = Object.keys(fields).flatMap((key) => (value[key] === undefined ? [] : [[key, value[key]]]))
  return { type, ...Object.fromEntries(known) } as Messages<S>
}

function problemOf(fields: Fields, value: unknown): string | undefined {
  if (!isObject(value)) return `${show(value)} is no object`
  for (const [key, { allowed, fits }] of Object.entries(fields))
    if (!fits(value[key])) return `${key} is ${show(value[key])}: must be ${allowed}`
  return undefined
}

/** Replaces long values by their length, since some are secrets. */
function show(value: unknown): string {
  const json = JSON.stringify(value) ?? 'absent'
  return json.length > 60 ? `${json.length} characters` : json
}

/** Cuts what arrives on a socket into lines of at most MAX_LINE_BYTES. */
export class LineSplitter {
  #rest = Buffer.alloc(0)

  /** @param chunk not kept @throws {ProtocolError} a line is too long; nothing more can be read then */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = []
    let all = Buffer.concat([this.#rest, chunk])
    for (let end = all.indexOf(0x0a); end >= 0; end = all.indexOf(0x0a)) {
      if (end > MAX_LINE_BYTES) break
      lines.push(all.toString('utf8', 0, end))
      all = all.subarray(end + 1)
    }
    if (all.byteLength > MAX_LINE_BYTES)
      throw new ProtocolError(`a line is longer than ${MAX_LINE_BYTES} bytes: must be shorter`)
    this.#rest = all
    return lines
  }
}
