/** Whether something read from disk, or handed in by the kernel's rebuild, is a lease of ours. */
import { type Ipv4, parseIpv4 } from '../core/addr.ts'
import { isIfname, NAME_RE } from '../core/attachment.ts'

type Check = (value: unknown) => boolean

const isString: Check = (value) => typeof value === 'string'
const isStrings: Check = (value) => Array.isArray(value) && value.every(isString)
const isPort: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535
const isPorts: Check = (value) =>
  Array.isArray(value) &&
  value.every(
    (port: Record<string, unknown> | null) =>
      typeof port === 'object' &&
      isString(port?.['protocol']) &&
      isString(port?.['hostIP']) &&
      isPort(port?.['hostPort']) &&
      isPort(port?.['containerPort']),
  )
const isOptional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)

const FIELDS: Readonly<Record<string, Check>> = {
  ip: isString,
  network: isString,
  containerId: (value) => typeof value === 'string' && NAME_RE.test(value),
  ifname: (value) => typeof value === 'string' && isIfname(value),
  mac: isString,
  hostIfname: isString,
  netns: isString,
  netnsInode: isString,
  bootId: isString,
  name: isOptional(isString),
  aliases: isOptional(isStrings),
  ports: isOptional(isPorts),
  httpPort: isOptional(isPort),
  createdAt: (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value)),
  state: (value) => value === 'pending' || value === 'active',
}

/** @param key under which it stands in its block @returns what is wrong, or undefined; unknown fields are kept */
export function leaseProblem(value: unknown, key: string, base: Ipv4, network: string): string | undefined {
  if (typeof value !== 'object' || value === null) return 'it is not an object'
  const lease = value as Record<string, unknown>
  for (const [field, check] of Object.entries(FIELDS)) {
    if (!check(lease[field])) return `${field} is ${JSON.stringify(lease[field])?.slice(0, 80) ?? 'missing'}`
  }
  if (lease['ip'] !== key) return `it says that its address is ${String(lease['ip'])}`
  const ip = parseIpv4(key)
  if (ip === undefined || ip - (ip % 256) !== base) return 'its address is not in this block'
  if (lease['network'] !== network) return `it belongs to network ${String(lease['network'])}`
  return undefined
}
