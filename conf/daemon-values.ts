/** Values that several sections of flatnet.yaml have: an address to listen on, a path, keys that exist. */

import { isIP } from 'node:net'
import { parseIpv4 } from '../core/addr.ts'
import { isObject } from '../core/json.ts'
import { nearest } from './nearest.ts'
import type { Reader } from './reader.ts'

export interface Listen {
  readonly host: string
  readonly port: number
}

/** Port 0 is allowed: the kernel picks one, and `GET /v1/status` names it. */
export function parseListen(text: string): Listen | undefined {
  const [, v6, v4, portText] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text) ?? []
  const host = v6 ?? v4
  if (host === undefined || Number(portText) > 65_535) return undefined
  if (v4 === undefined ? isIP(host) !== 6 : parseIpv4(v4) === undefined) return undefined
  return { host, port: Number(portText) }
}

export function absolute(reader: Reader, key: string, fallback: string): string {
  const path = reader.string(key, fallback)
  if (path === fallback || (path.startsWith('/') && !path.includes('\0'))) {
    return path.replace(/(?<=.)\/+$/, '')
  }
  if (typeof path === 'string') reader.problem(key, 'must be an absolute path')
  return fallback
}

export function refuseUnknown(reader: Reader, value: unknown, known: readonly string[]): void {
  if (!isObject(value)) return
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue
    const [near] = nearest(key, known)
    reader.problem(
      key,
      near === undefined
        ? `no such key; known are ${known.join(', ')}`
        : `no such key; did you mean ${near}?`,
    )
  }
}
