/** A server in flatnet.yaml: a name or an address, with a port. */

import { isIP } from 'node:net'

const SERVER_RE = /^(?:\[([0-9a-fA-F:.]+)\]|((?=[\w.-]{1,253}:)[\w-]+(?:\.[\w-]+)*)):([1-9]\d{0,4})$/

export function isServer(value: unknown): value is string {
  const [, v6, host = '', port] = (typeof value === 'string' && SERVER_RE.exec(value)) || []
  if (Number(port) > 65_535 || port === undefined) return false
  if (v6 !== undefined) return isIP(v6) === 6
  // What looks like IPv4 must be IPv4: 192.0.2.256 is no name.
  return !/^[\d.]+$/.test(host) || isIP(host) === 4
}
