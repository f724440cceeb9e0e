/** Whether something read from disk, or handed in by the kernel's rebuild, is a lease of ours. */

import type { Ipv4 } from '../../core/addr.ts'
import { isIfname, isName } from '../../core/attachment.ts'
import { BLOCK_SIZE } from './layout.ts'
import { ipIn } from './octet.ts'

const STRINGS = ['mac', 'hostIfname', 'netns', 'netnsInode', 'bootId'] as const
/** How an ISO 8601 time begins; 0 stands for any digit. */
const TIME = '0000-00-00T00:00:00'

/**
 * Plain checks in a row: a process that lives for 15 ms runs this without a compiler, for each lease of a block and
 * twice.
 * @param key under which it stands in its block @returns what is wrong, or undefined; unknown fields are kept
 */
export function leaseProblem(
  value: unknown,
  key: string,
  base: Ipv4,
  network: string,
  size: number = BLOCK_SIZE,
): string | undefined {
  if (typeof value !== 'object' || value === null) return 'it is not an object'
  const lease = value as Record<string, unknown>
  const field = wrongField(lease)
  if (field !== undefined) return `${field} is ${JSON.stringify(lease[field])?.slice(0, 80) ?? 'missing'}`
  if (lease['ip'] !== key) return `it says that its address is ${JSON.stringify(lease['ip'])?.slice(0, 80)}`
  if (ipIn(base, key, size) === undefined) return 'its address is not in this block'
  if (lease['network'] !== network) return `it belongs to network ${JSON.stringify(lease['network'])}`
  return undefined
}

function wrongField(lease: Record<string, unknown>): string | undefined {
  const { containerId, ifname, state, createdAt, name, aliases, ports, httpPort } = lease
  if (typeof containerId !== 'string' || !isName(containerId)) return 'containerId'
  // The usual name passes without the regular expressions of `isIfname`.
  if (ifname !== 'eth0' && (typeof ifname !== 'string' || !isIfname(ifname))) return 'ifname'
  for (const key of STRINGS) if (typeof lease[key] !== 'string') return key
  if (state !== 'active' && state !== 'pending') return 'state'
  if (typeof createdAt !== 'string' || !isTime(createdAt)) return 'createdAt'
  if (name !== undefined && typeof name !== 'string') return 'name'
  if (aliases !== undefined && !isAll(aliases, isString)) return 'aliases'
  if (ports !== undefined && !isAll(ports, isPortMapping)) return 'ports'
  if (httpPort !== undefined && !isPort(httpPort)) return 'httpPort'
  return undefined
}

function isTime(text: string): boolean {
  if (text.length < TIME.length) return false
  for (let i = 0; i < TIME.length; i++) {
    const code = text.charCodeAt(i)
    if (TIME[i] === '0' ? code < 48 || code > 57 : text[i] !== TIME[i]) return false
  }
  return true
}

function isAll(value: unknown, is: (item: unknown) => boolean): boolean {
  if (!Array.isArray(value)) return false
  for (const item of value) if (!is(item)) return false
  return true
}

const isString = (value: unknown): boolean => typeof value === 'string'

function isPort(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535
}

function isPortMapping(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const port = value as Record<string, unknown>
  return (
    typeof port['protocol'] === 'string' &&
    typeof port['hostIP'] === 'string' &&
    isPort(port['hostPort']) &&
    isPort(port['containerPort'])
  )
}
