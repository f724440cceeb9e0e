/**
 * Sysctls by /proc/sys, written only when different.
 *
 * A read-only /proc/sys with the right value is no error.
 */

import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'
import type { PortMapping } from '../core/api.ts'
import { FlatnetError } from '../core/errors.ts'

const ROOT = '/proc/sys'

/**
 * Reads a value in the network namespace of this thread.
 * @param path below /proc/sys, e.g. `net/ipv4/ip_forward`; an interface name in it may hold dots
 * @returns undefined when the kernel has no such key
 */
export function sysctlGet(path: string): string | undefined {
  try {
    return readFileSync(`${ROOT}/${path}`, 'latin1').trim()
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return undefined
    throw err
  }
}

/**
 * Sets a value in the network namespace of this thread unless it is set.
 * @param tolerated values to live with where /proc/sys cannot be written (containers as hosts, hardened systems)
 * @returns whether it was changed
 * @throws {FlatnetError} ERR_FLATNET_KERNEL naming the key, its value and the one wanted (EROFS, EACCES, no such key)
 */
export function sysctlEnsure(path: string, value: string, tolerated: readonly string[] = []): boolean {
  const current = sysctlGet(path)
  if (current === value || (current === undefined && isOptional(path))) return false
  try {
    writeFileSync(`${ROOT}/${path}`, value)
    return true
  } catch (cause) {
    if (current !== undefined && tolerated.includes(current)) return false
    const key = path.replaceAll('/', '.')
    throw new FlatnetError(
      'ERR_FLATNET_KERNEL',
      `sysctl ${key} is ${current ?? 'absent'} and cannot be set to ${value}`,
      { cause },
    )
  }
}

/** Key, value, and values to live with where /proc/sys cannot be written. */
type Sysctl = readonly [path: string, value: string, tolerated: readonly string[]]

/** What a bridge of ours needs: ADD sets them, the gateway's repair puts them back. */
const bridgeSysctls = (bridge: string): readonly Sysctl[] => [
  ['net/ipv4/ip_forward', '1', []],
  // Containers answer on the bridge what came by another path (a published port, later P2P): loose mode.
  [`net/ipv4/conf/${bridge}/rp_filter`, '2', ['0']],
  // 127.0.0.1:port of the host is sent to the container; conf/flatnet.nft shuts the way back in.
  [`net/ipv4/conf/${bridge}/route_localnet`, '1', ['0']],
  // A container's router advertisement would become the host's default route (CVE-2020-10749).
  [acceptRa(bridge), '0', ['1', '2']],
]

const acceptRa = (ifname: string): string => `net/ipv6/conf/${ifname}/accept_ra`
const disableIpv6 = (ifname: string): string => `net/ipv6/conf/${ifname}/disable_ipv6`

/** A kernel without IPv6 has no such key, and needs none. */
const isOptional = (path: string): boolean => path.startsWith('net/ipv6/')

/** Sets `accept_ra` of a container's interface, in the network namespace of this thread. */
export const refuseRouters = (ifname: string): boolean => sysctlEnsure(acceptRa(ifname), '0', ['1', '2'])

/**
 * Sets what a bridge of ours needs. IPv6 goes off while the bridge has no IPv6 address of its own: by its link-local
 * one containers would reach whatever the host serves on `[::]`.
 * @param hasIpv6 whether it was given one; asked only when IPv6 is on
 * @returns how many values were changed
 */
export function ensureBridgeSysctls(bridge: string, hasIpv6: () => boolean): number {
  let changed = 0
  for (const [path, value, tolerated] of bridgeSysctls(bridge)) {
    if (sysctlEnsure(path, value, tolerated)) changed++
  }
  if (sysctlGet(disableIpv6(bridge)) !== '0' || hasIpv6()) return changed
  return sysctlEnsure(disableIpv6(bridge), '1', ['0']) ? changed + 1 : changed
}

export interface SysctlReader {
  get(path: string): string | undefined
  /** Whether ADD could have set it. */
  canWrite(path: string): boolean
}

const system: SysctlReader = {
  get: sysctlGet,
  canWrite(path) {
    try {
      accessSync(`${ROOT}/${path}`, constants.W_OK)
      return true
    } catch {
      return false
    }
  },
}

export interface SysctlFault {
  /** e.g. `net.ipv4.conf.flatnet0.rp_filter`, as `sysctl -w` takes it: a dot in an interface's name is a slash. */
  readonly key: string
  /** What the kernel goes by, `absent` without such a key. */
  readonly value: string
  readonly wanted: string
}

/**
 * Values that changed since ADD set them, where that matters: the kernel uses the larger of `conf/all` and the
 * interface's own value, and ADD tolerates what it cannot write.
 * @param needsLoopback some container's port is published on the host's loopback
 */
export function sysctlFaults(
  bridge: string,
  needsLoopback: boolean,
  { get, canWrite }: SysctlReader = system,
): SysctlFault[] {
  return bridgeSysctls(bridge).flatMap(([path, wanted, tolerated]) => {
    const own = get(path)
    if (isOptional(path)) return ipv6Fault(path, own, wanted, canWrite)
    const all = Number(get(path.replace(`conf/${bridge}/`, 'conf/all/')) ?? 0)
    const value = own === undefined ? 'absent' : String(Math.max(Number(own), all))
    if (value === wanted) return []
    if (path.endsWith('/route_localnet') && !needsLoopback) return []
    // No filter at all is looser than loose.
    if (path.endsWith('/rp_filter') && value === '0') return []
    if (tolerated.includes(value) && !canWrite(path)) return []
    return [{ key: keyOf(path), value, wanted }]
  })
}

/** Of IPv6 the interface's own value counts, and a kernel without IPv6 has none. */
const ipv6Fault = (
  path: string,
  value: string | undefined,
  wanted: string,
  canWrite: (path: string) => boolean,
): SysctlFault[] =>
  value === undefined || value === wanted || !canWrite(path) ? [] : [{ key: keyOf(path), value, wanted }]

/** IPv6 that came back on a bridge without an IPv6 address. @param hasIpv6 as in `ensureBridgeSysctls` */
export function ipv6Faults(
  bridge: string,
  hasIpv6: () => boolean,
  { get, canWrite }: SysctlReader = system,
): SysctlFault[] {
  const path = disableIpv6(bridge)
  return get(path) === '0' && !hasIpv6() ? ipv6Fault(path, '0', '1', canWrite) : []
}

/** Some port is published on the host's loopback, by name or with all its addresses. */
export const needsLoopback = (ports: readonly PortMapping[]): boolean =>
  ports.some(({ hostIP }) => hostIP === '' || hostIP.startsWith('127.'))

const keyOf = (path: string): string =>
  path
    .split('/')
    .map((part) => part.replaceAll('.', '/'))
    .join('.')
