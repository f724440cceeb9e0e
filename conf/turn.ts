/** The list `paths.turn` of flatnet.yaml: servers that relay UDP for hosts that have no other way (RFC 8656). */

import { isObject } from '../core/json.ts'
import { absolute } from './daemon-values.ts'
import { nearest } from './nearest.ts'
import { Reader } from './reader.ts'
import { isServer } from './server.ts'

export interface TurnConf {
  /** `name:port` or `address:port`, also where it was configured as a URL. */
  readonly server: string
  /** With a secret it is added to the time, and may be empty. */
  readonly username: string
  /** Of coturn's lt-cred-mech: the same for ever. Or the absolute path of a file with it. */
  readonly password?: string
  readonly passwordFile?: string
  /** Of coturn's use-auth-secret (static-auth-secret): makes passwords for a day. Or the path of a file with it. */
  readonly secret?: string
  readonly secretFile?: string
}

const KEYS = ['server', 'transport', 'username', 'password', 'passwordFile', 'secret', 'secretFile']
/** What WebRTC's `iceServers` calls these. */
const OF_WEBRTC: Readonly<Record<string, string>> = { url: 'server', urls: 'server', credential: 'password' }
const LOGINS = ['password', 'passwordFile', 'secret', 'secretFile'] as const
/** Each gets an allocation while a peer has no other way. */
const MAX_SERVERS = 4
/** Others would have to be prepared as RFC 8265 says, which servers do differently. */
const TEXT_RE = /^[\x20-\x7e]{1,255}$/
/** RFC 8656, 3.2. */
const DEFAULT_PORT = 3_478
const UDP_ALONE =
  'Flatnet speaks TURN over UDP alone; name the UDP port of the server, e.g. "turn.example:3478", and where UDP to it ' +
  'is blocked leave it out: packets then go by TLS between gateways'
const EXAMPLE = '[{ server: "turn.example:3478", username: "flatnet", passwordFile: "/etc/flatnet/turn" }]'
/** In the place of values: a problem is printed and logged. */
const HIDDEN = '(not shown)'

export function readTurn(paths: Reader): TurnConf[] {
  const given = paths.get('turn') ?? []
  if (!Array.isArray(given) || given.length > MAX_SERVERS) {
    paths.problem('turn', `must be a list of at most ${MAX_SERVERS} servers, e.g. ${EXAMPLE}`, HIDDEN)
    return []
  }
  const servers = given.map((value, i) => readServer(paths, value, i))
  const names = servers.map(({ server }) => server)
  const twice = names.find((name, i) => name !== '' && names.indexOf(name) < i)
  if (twice !== undefined) paths.problem('turn', 'must name each server once', twice)
  return servers
}

function readServer(paths: Reader, value: unknown, index: number): TurnConf {
  const reader = new Reader(isObject(value) ? value : {}, `paths.turn[${index}].`, paths.problems)
  // A key that is written wrongly may hold a password, so values are not shown.
  for (const key of isObject(value) ? Object.keys(value) : []) {
    if (KEYS.includes(key)) continue
    const near = OF_WEBRTC[key] ?? nearest(key, KEYS)[0]
    const hint = near === undefined ? `known are ${KEYS.join(', ')}` : `did you mean ${near}?`
    reader.problem(key, `no such key; ${hint}`, HIDDEN)
  }
  const server = readAddress(reader)
  if (reader.has('transport') && reader.get('transport') !== 'udp')
    reader.problem('transport', `must be udp, or absent: ${UDP_ALONE}`)
  return { server, ...readLogin(reader) }
}

/** @returns '' after a problem */
function readAddress(reader: Reader): string {
  const value = reader.get('server')
  const url = typeof value === 'string' ? parseUrl(value) : undefined
  if (url?.isUdp === false) reader.problem('server', `must be reached over UDP: ${UDP_ALONE}`)
  else if (url !== undefined && isServer(url.server)) return url.server
  else
    reader.problem(
      'server',
      'must be a name or an address with a port, e.g. "turn.example:3478" or "turn:turn.example:3478?transport=udp"',
      // A URL may have a name and a password in front of its @, which RFC 7065 does not know.
      String(value).includes('@') ? HIDDEN : value,
    )
  return ''
}

/** RFC 7065, and `name:port` alone. A URL may leave out the port. */
function parseUrl(text: string): { readonly server: string; readonly isUdp: boolean } | undefined {
  const [, scheme = 'turn', rest = '', transport = 'udp'] =
    /^(?:(turns?):(?!\d+$))?([^?@/]+)(?:\?transport=(\w+))?$/i.exec(text) ?? []
  if (rest === '' || (rest === text && text.includes('?'))) return undefined
  const hasPort = rest === text || /:\d+$/.test(rest.replace(/^\[.*\]/, ''))
  const isUdp = scheme.toLowerCase() === 'turn' && transport.toLowerCase() === 'udp'
  return { server: hasPort ? rest : `${rest}:${DEFAULT_PORT}`, isUdp }
}

function readLogin(reader: Reader): Omit<TurnConf, 'server'> {
  const [kind, ...more] = LOGINS.filter((key) => reader.has(key))
  const isSecret = kind === 'secret' || kind === 'secretFile'
  if (kind === undefined || more.length > 0)
    reader.problem(kind ?? 'password', `there must be exactly one of ${LOGINS.join(', ')}`, HIDDEN)
  const hasName = reader.has('username')
  const username = hasName ? readText(reader, 'username', reader.get('username')) : ''
  if (!hasName && !isSecret) reader.problem('username', 'must be the name that the server knows')
  if (isSecret && username.includes(':'))
    reader.problem('username', 'must not contain a colon, which separates it from the time')
  if (kind === undefined) return { username }
  if (kind.endsWith('File')) return { username, [kind]: absolute(reader, kind, '') }
  return { username, [kind]: readText(reader, kind, HIDDEN) }
}

function readText(reader: Reader, key: string, shown: unknown): string {
  const value = reader.get(key)
  if (typeof value === 'string' && TEXT_RE.test(value)) return value
  reader.problem(key, 'must be 1 to 255 printable ASCII characters', shown)
  return ''
}
