/** The section `paths` of flatnet.yaml: how a way to other hosts is found. */

import { isIP } from 'node:net'
import { refuseUnknown } from './daemon-values.ts'
import type { Reader } from './reader.ts'

export interface PathsConf {
  /** STUN servers beside the members, `name:port` or `address:port`. */
  readonly stun: readonly string[]
}

/** Two are enough to find out a NAT's mapping; the others are for when those fail. */
const MAX_SERVERS = 4
const SERVER_RE = /^(?:\[([0-9a-fA-F:.]+)\]|((?=[\w.-]{1,253}:)[\w-]+(?:\.[\w-]+)*)):([1-9]\d{0,4})$/

export function readPaths(top: Reader): PathsConf {
  const paths = top.object('paths')
  refuseUnknown(paths, top.get('paths'), ['stun'])
  const given = paths.array('stun')
  const stun = given.filter(isServer)
  if (stun.length < given.length || stun.length > MAX_SERVERS) {
    const example = '["stun.example:3478", "192.0.2.1:3478", "[2001:db8::1]:3478"]'
    paths.problem('stun', `must be at most ${MAX_SERVERS} names or addresses with ports, e.g. ${example}`)
  }
  return { stun }
}

function isServer(value: unknown): value is string {
  const [, v6, host = '', port] = (typeof value === 'string' && SERVER_RE.exec(value)) || []
  if (Number(port) > 65_535 || port === undefined) return false
  if (v6 !== undefined) return isIP(v6) === 6
  // What looks like IPv4 must be IPv4: 192.0.2.256 is no name.
  return !/^[\d.]+$/.test(host) || isIP(host) === 4
}
