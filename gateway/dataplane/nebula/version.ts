/** Which Nebula is installed, and what differs between its releases. Pure. */

export interface NebulaVersion {
  readonly major: number
  readonly minor: number
  /** `1.6.1` */
  readonly text: string
}

/** Relays, which have to be switched off, came with it. Debian 12 has 1.6.1. */
const OLDEST: readonly [number, number] = [1, 6]

/** @param printed by `nebula -version` or `nebula-cert -version` @returns undefined: it names no version */
export function parseVersion(printed: string): NebulaVersion | undefined {
  const [, text, major, minor] = /^Version: v?((\d+)\.(\d+)[\w.+-]*)\s*$/m.exec(printed) ?? []
  return text === undefined ? undefined : { major: Number(major), minor: Number(minor), text }
}

const isAtLeast = (version: NebulaVersion, major: number, minor: number): boolean =>
  version.major > major || (version.major === major && version.minor >= minor)

/** @returns why this release cannot be used, in words; undefined: it can */
export const tooOld = (version: NebulaVersion): string | undefined =>
  isAtLeast(version, ...OLDEST) ? undefined : `version ${version.text} is too old: 1.6 or later is needed`

/** 1.10 renamed `-ip`, `-ips` and `-subnets` of nebula-cert, and makes certificates of version 2 unless told. */
export const hasNetworkFlags = (version: NebulaVersion): boolean => isAtLeast(version, 1, 10)

/** 1.7 can leave the kernel's table alone. */
export const canSkipRoutes = (version: NebulaVersion): boolean => isAtLeast(version, 1, 7)

/** Since 1.10 a rule without `local_cidr` is about the host's own address alone. */
export const needsLocalCidr = (version: NebulaVersion): boolean => isAtLeast(version, 1, 10)

/** What a person does who has no Nebula. */
export const INSTALL_NEBULA = 'apt-get install nebula'
