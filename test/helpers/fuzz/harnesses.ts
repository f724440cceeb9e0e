/**
 * A harness for each parser of what others send: it throws when a parser breaks its promise.
 *
 * A parser may refuse by its own error and by no other, and what it takes it has to write as it read it.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decode, encode } from 'netlink-ts/codec.ts'
import { DecodeError } from 'netlink-ts/errors.ts'
import { splitMessages } from 'netlink-ts/message.ts'
import { parseDaemonConf } from '../../../conf/daemon.ts'
import { parseNetConfJson } from '../../../conf/netconf.ts'
import { FlatnetError } from '../../../core/errors.ts'
import { decodeToken, encodeToken, TokenTextError } from '../../../gateway/cluster/joining/tokens.ts'
import { DocumentError, merge, seal, unseal } from '../../../gateway/cluster/members/document.ts'
import { isEndpointRecord } from '../../../gateway/cluster/members/endpoints.ts'
import { addressIn, faultIn, locationIn, serviceIn } from '../../../gateway/dataplane/nat/port-mapping/igd.ts'
import { decodeAddress, decodeMapping } from '../../../gateway/dataplane/nat/port-mapping/nat-pmp.ts'
import { decodePcpMap } from '../../../gateway/dataplane/nat/port-mapping/pcp.ts'
import { decodeStun } from '../../../gateway/dataplane/nat/stun.ts'
import { MAX_STUN_BYTES } from '../../../gateway/dataplane/nat/stun-wire.ts'
import { decodeTurn, encodeTurn } from '../../../gateway/dataplane/nat/turn/message.ts'
import { decodeAnswer, decodeProbe, decodeRekey } from '../../../gateway/dataplane/p2p/process/messages.ts'
import {
  ProtocolError as P2pError,
  parseFromProcess,
  parseToProcess,
} from '../../../gateway/dataplane/p2p/protocol.ts'
import { FrameDecoder, FrameError } from '../../../gateway/dataplane/tunnel/frame.ts'
import { encodeAnswer, judge } from '../../../gateway/dns/message.ts'
import { AnswerReader } from '../../../gateway/ingress/fast/answer-reader.ts'
import { ChunkError } from '../../../gateway/ingress/fast/chunks.ts'
import { readRequest } from '../../../gateway/ingress/fast/request-head.ts'
import { AnswerError } from '../../../gateway/ingress/fast/response-head.ts'
import { decodeMessage, FrameReader, FrameType, ProtocolError } from '../../../gateway/links/frames.ts'
import { parseEndpoint } from '../../../gateway/links/tls.ts'
import { LinkNames } from '../../../gateway/mdns/link-names.ts'
import { readMessage as readMdnsMessage } from '../../../gateway/mdns/message.ts'
import { readMessage } from '../../../gateway/replication/messages.ts'
import { WireDecoder, wireRecord } from '../../../gateway/replication/record.ts'
import { BrokenBlock, OldBlock, openBlock } from '../../../ipam/store/block.ts'
import { readContext } from '../../../plugin/context.ts'
import { readCniArgs, readEnv } from '../../../plugin/env.ts'
import { attachmentInput, networkProblems, parseInput } from '../../../plugin/netavark/input.ts'
import { routeVectors } from '../kernel/netlink-vectors-route.ts'
import { SimTime } from '../sim/network.ts'
import { SLICES } from '../sim/sim-host.ts'
import { LETTER_RUNS } from './letter-harnesses.ts'
import { MEMBER_RUNS } from './member-harnesses.ts'
import { json, split, taken } from './promises.ts'

export interface Harness {
  readonly name: string
  readonly seeds: readonly Buffer[]
  /** Of the parser's language, to insert. */
  readonly words: readonly string[]
  /** CPU time of one input at most; 100 ms unless it is given. */
  readonly maxMs?: number
  /** @throws what breaks a promise */
  run(bytes: Buffer): void
}

export interface FuzzDeps {
  /** For the parsers that read files. */
  readonly folder: string
  readonly ca: { readonly certPem: string; readonly keyPem: string }
}

const SEEDS = new URL('../../fuzz/seeds/', import.meta.url)

/** `*.hex` are bytes, all others text. */
function seedsOf(name: string): Buffer[] {
  const folder = new URL(`${name}/`, SEEDS)
  return readdirSync(folder).map((file) => {
    const bytes = readFileSync(new URL(file, folder))
    return file.endsWith('.hex') ? Buffer.from(bytes.toString().replaceAll(/\s/g, ''), 'hex') : bytes
  })
}

const RUNS: Readonly<Record<string, (bytes: Buffer, deps: FuzzDeps) => void>> = {
  'cni-stdin'(bytes) {
    const env = { verb: 'ADD', containerId: 'c1', netns: '/proc/1/ns/net', ifname: 'eth0', args: '' } as const
    taken(() => readContext(env, bytes.toString()), FlatnetError)
    taken(() => parseNetConfJson(bytes.toString()), FlatnetError)
  },
  'cni-env'(bytes) {
    const entries = bytes
      .toString()
      .split('\n')
      .map((line) => line.split(/=(.*)/s))
    const env = taken(() => readEnv(Object.fromEntries(entries)), FlatnetError)
    if (env !== undefined) taken(() => readCniArgs(env.args), FlatnetError)
  },
  netavark(bytes) {
    const input = taken(() => parseInput(bytes.toString()), FlatnetError)
    if (input === undefined) return
    networkProblems(input)
    taken(() => attachmentInput('ADD', input, '/proc/1/ns/net'), FlatnetError)
  },
  netlink(bytes) {
    taken(() => splitMessages(bytes), DecodeError)
    const { codec } = routeVectors[(bytes[0] ?? 0) % routeVectors.length]!
    const value = taken(() => decode(codec, bytes.subarray(1)), DecodeError)
    if (value !== undefined) encode(codec, value)
  },
  'lease-file'(bytes, { folder }) {
    const path = join(folder, '10.100.1.0.json')
    writeFileSync(path, bytes)
    taken(() => openBlock(path, 0x0a640100, 'flatnet', false).read(), BrokenBlock, OldBlock, FlatnetError)
  },
  'daemon-conf'(bytes) {
    taken(() => parseDaemonConf(bytes.toString()), FlatnetError)
  },
  'cluster-members'(bytes, { ca }) {
    const value = json(bytes)
    taken(() => unseal(value, ca.certPem), DocumentError)
    // As the CA would sign it, so that what is behind the signature is reached.
    const sealed = seal(value as Parameters<typeof seal>[0], ca.keyPem)
    const document = value === undefined ? undefined : taken(() => unseal(sealed, ca.certPem), DocumentError)
    if (document !== undefined)
      deepStrictEqual(merge(document, document).members.length, document.members.length)
    isEndpointRecord(value)
  },
  'control-message'(bytes) {
    const message = taken(() => decodeMessage(bytes), ProtocolError)
    if (message !== undefined) readMessage(message)
  },
  'control-frames'(bytes) {
    const read = (chunks: Iterable<Buffer>) =>
      taken(() => {
        const reader = new FrameReader()
        return [...chunks].flatMap((chunk) => reader.push(chunk))
      }, ProtocolError)
    const whole = read([bytes])
    deepStrictEqual(read(split(bytes)), whole)
    for (const { type, body } of whole ?? [])
      if (type === FrameType.message) taken(() => decodeMessage(body), ProtocolError)
  },
  record(bytes) {
    const decoder = new WireDecoder(SLICES)
    const assignment = decoder.decode(json(bytes), 1)
    if (typeof assignment !== 'string') deepStrictEqual(decoder.decode(wireRecord(assignment), 1), assignment)
  },
  'tunnel-frames'(bytes) {
    const read = (chunks: Iterable<Buffer>): string[] => {
      const out: string[] = []
      const decoder = new FrameDecoder((head, frame, from, end) => {
        out.push(`${JSON.stringify(head)} ${Buffer.from(frame.subarray(from, end)).toString('hex')}`)
      })
      taken(() => {
        for (const chunk of chunks) decoder.push(chunk)
      }, FrameError)
      return out
    }
    deepStrictEqual(read(split(bytes)), read([bytes]))
  },
  'http-request'(bytes) {
    const head = readRequest(bytes)
    if (head !== undefined && !(head.end <= bytes.length)) throw new Error(`the head ends at ${head.end}`)
  },
  'http-answer'(bytes) {
    const read = (chunks: Iterable<Buffer>): unknown => {
      const seen: string[] = []
      const reader = new AnswerReader(
        {
          early: ({ status }) => void seen.push(`early ${status}`),
          head: ({ status }) => void seen.push(`head ${status}`),
          body: () => {},
          text: () => {},
          trailers: () => '',
        },
        false,
        16_384,
      )
      const isRead = taken(
        () => {
          for (const chunk of chunks) if (reader.read(chunk) < chunk.length) break
          return true
        },
        AnswerError,
        ChunkError,
      )
      return { seen: seen.filter((line) => line.startsWith('head')), isRead }
    }
    deepStrictEqual(read(split(bytes)), read([bytes]))
  },
  token(bytes) {
    const text = bytes.toString().trim()
    // Once more with the check that belongs to it, so that what is behind the check is reached.
    const body = Buffer.from(text.slice(4), 'base64url').subarray(0, -4)
    const check = createHash('sha256').update(body).digest().subarray(0, 4)
    for (const candidate of [text, `fnj_${Buffer.concat([body, check]).toString('base64url')}`]) {
      const token = taken(() => decodeToken(candidate), TokenTextError)
      if (token !== undefined) deepStrictEqual(decodeToken(encodeToken(token)), token)
    }
  },
  endpoint(bytes) {
    const place = parseEndpoint(bytes.toString())
    if (place !== undefined && !(place.port >= 1 && place.port <= 65_535))
      throw new Error(`port ${place.port}`)
  },
  'udp-control'(bytes) {
    for (const decodeIt of [decodeProbe, decodeAnswer, decodeRekey]) decodeIt(bytes)
  },
  'p2p-lines'(bytes) {
    for (const parse of [parseToProcess, parseFromProcess]) taken(() => parse(bytes.toString()), P2pError)
  },
  dns(bytes) {
    const judged = judge(bytes)
    if (judged.kind === 'query') encodeAnswer(judged.query, { rcode: 'NXDOMAIN' }, false)
  },
  mdns(bytes) {
    const { names, sent, time } = publishedLink()
    for (const port of [5353, 40_000]) names.receive(bytes, { address: '192.0.2.9', port })
    time.run(5_000)
    for (const message of sent)
      if (message.length > 1_400 || readMdnsMessage(message) === undefined)
        throw new Error(`said ${message.toString('hex')}`)
  },
  stun: (bytes) => void decodeStun(bytes),
  router(bytes) {
    const request = { port: 7_443, nonce: '000102030405060708090a0b' }
    decodePcpMap(bytes, request)
    decodeMapping(bytes, request)
    decodeAddress(bytes)
    const text = bytes.toString('latin1')
    const urls = [locationIn(text, ROUTER), serviceIn(text, `http://${ROUTER}/`, ROUTER)?.controlUrl]
    for (const url of urls)
      if (url !== undefined && url !== '' && new URL(url).hostname !== ROUTER) throw new Error(`asks ${url}`)
    addressIn(text)
    faultIn(text)
  },
  turn(bytes) {
    const decoded = decodeTurn(bytes)
    if (decoded === undefined) return
    const { signatures: _, isUdpWanted: __, ...message } = decoded
    const again = encodeTurn(message)
    // Text that is no UTF-8 becomes longer.
    if (again.byteLength <= MAX_STUN_BYTES) deepStrictEqual(decodeTurn(again), { ...message, signatures: [] })
  },
  ...MEMBER_RUNS,
  ...LETTER_RUNS,
}

const ROUTER = '192.168.1.1'

/** A link on which web.local is published. */
function publishedLink() {
  const time = new SimTime()
  const sent: Buffer[] = []
  const names = new LinkNames({
    address: '192.0.2.7',
    scheduler: time.scheduler(() => 0),
    random: () => 0,
    send: (bytes) => sent.push(bytes),
    reply: (bytes) => sent.push(bytes),
    isOnLink: () => true,
    isOwn: () => false,
    dropped() {},
    flooded() {},
    taken() {},
  })
  names.setNames(new Set(['web.local']))
  time.run(3_000)
  return { names, sent, time }
}

const HTTP_WORDS = [
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'HTTP/1.1 ',
  '\n\n',
  '0\r\n\r\n',
  'Host: a\r\n',
]
const WORDS: Readonly<Record<string, readonly string[]>> = {
  'http-request': HTTP_WORDS,
  'http-answer': [...HTTP_WORDS, 'HTTP/1.1 100 Continue\r\n\r\n'],
  'cni-stdin': ['"ipam":', '"routes":', '"runtimeConfig":{"portMappings":[', '"prevResult":'],
  'cni-env': ['CNI_ARGS=', 'K8S_POD_NAME=', ';'],
  'cluster-members': ['"members":', '"state":"revoked"'],
  'p2p-offer': ['"candidates":[', '"type":"p2p.promote"', '"generation":'],
  letter: ['"hops":3', '"content":{', '"follows":{"seq":1,"afterMs":-1}', '"validTo":-1'],
  'letter-offer': ['"key":"', '"type":"p2p.answer"', '"message":{', '"generation":'],
  'join-request': ['"endpoints":[', '"protocol":1'],
  mdns: ['\u00c0\u000c'],
  router: ['<service>', '</service>', 'LOCATION: http://', '192.168.1.1', '@', '<URLBase>http://192.0.2.9/'],
}

/** An operator's own file: the YAML library takes 130 ms for 5,000 brackets too many. */
const OPERATOR_MS = 2_000

/** One for each parser, with its seeds. */
export const harnesses = (deps: FuzzDeps): Harness[] =>
  Object.entries(RUNS).map(([name, run]) => ({
    name,
    seeds: seedsOf(name),
    words: WORDS[name] ?? [],
    ...(name === 'daemon-conf' && { maxMs: OPERATOR_MS }),
    run: (bytes) => run(bytes, deps),
  }))
