/**
 * The error tree of Flatnet and its translation into the CNI error object (docs/errors.md, CNI SPEC "Error").
 */

/**
 * Error codes of the CNI specification 1.1.0, section "Error"; 8 and 999 come from the Go library. Ours start at 100.
 */
export const CniCode = {
  IncompatibleVersion: 1,
  UnsupportedField: 2,
  ContainerUnknown: 3,
  InvalidEnvironment: 4,
  Io: 5,
  Decode: 6,
  InvalidConfig: 7,
  InvalidNetns: 8,
  TryAgainLater: 11,
  PluginNotAvailable: 50,
  PluginNotAvailableLimited: 51,
  NoAddress: 100,
  AddressNotAvailable: 101,
  AttachmentLive: 102,
  Kernel: 103,
  Nftables: 104,
  Store: 105,
  Internal: 999,
} as const
export type CniCode = (typeof CniCode)[keyof typeof CniCode]

/** Stable string codes; match on these, not on classes. Each has one CNI number. docs/errors.md lists them. */
export const CNI_CODE_OF = {
  ERR_FLATNET_VERSION: CniCode.IncompatibleVersion,
  ERR_FLATNET_UNSUPPORTED: CniCode.UnsupportedField,
  ERR_FLATNET_CONTAINER_UNKNOWN: CniCode.ContainerUnknown,
  ERR_FLATNET_ENV: CniCode.InvalidEnvironment,
  ERR_FLATNET_IO: CniCode.Io,
  ERR_FLATNET_DECODE: CniCode.Decode,
  ERR_FLATNET_CONFIG: CniCode.InvalidConfig,
  ERR_FLATNET_NETNS: CniCode.InvalidNetns,
  ERR_FLATNET_TRY_AGAIN: CniCode.TryAgainLater,
  ERR_FLATNET_NOT_READY: CniCode.PluginNotAvailable,
  ERR_FLATNET_LIMITED: CniCode.PluginNotAvailableLimited,
  ERR_FLATNET_NO_ADDRESS: CniCode.NoAddress,
  ERR_FLATNET_ADDRESS_NOT_AVAILABLE: CniCode.AddressNotAvailable,
  ERR_FLATNET_ATTACHMENT_LIVE: CniCode.AttachmentLive,
  ERR_FLATNET_KERNEL: CniCode.Kernel,
  ERR_FLATNET_NFTABLES: CniCode.Nftables,
  ERR_FLATNET_STORE: CniCode.Store,
  ERR_FLATNET_INTERNAL: CniCode.Internal,
} as const
export type FlatnetCode = keyof typeof CNI_CODE_OF

export interface FlatnetErrorOptions extends ErrorOptions {
  /** One line for the CNI `details` field, before the cause chain. */
  readonly details?: string
  /** What a program may want to branch on or show, e.g. `{ used: 246, resting: 0, stale: 0 }`. */
  readonly facts?: Readonly<Record<string, unknown>>
}

/** Every error that Flatnet raises on purpose. The message says what is wrong and the way out, without the cause. */
export class FlatnetError extends Error {
  override readonly name: string = 'FlatnetError'
  readonly code: FlatnetCode
  readonly details: string | undefined
  readonly facts: Readonly<Record<string, unknown>>
  constructor(code: FlatnetCode, message: string, options: FlatnetErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details
    this.facts = options.facts ?? {}
  }
  get cniCode(): CniCode {
    return CNI_CODE_OF[this.code]
  }
}

/** A configuration with every problem found in it, each naming its key, its value and what is allowed. */
export class ConfigError extends FlatnetError {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]
  constructor(problems: readonly string[], code: FlatnetCode = 'ERR_FLATNET_CONFIG') {
    const [first = 'unknown problem', ...rest] = problems
    super(
      code,
      rest.length === 0 ? first : `${problems.length} problems in the configuration`,
      rest.length === 0 ? {} : { details: problems.join('; ') },
    )
    this.problems = problems
  }
}

/** The error object of the CNI specification; `cniVersion` is required by it although the Go type lacks it. */
export interface CniErrorResult {
  readonly cniVersion: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** netlink-ts and the kernel are on the other side of these codes; the operation and errno are in their message. */
function codeOf(err: unknown): CniCode {
  if (err instanceof FlatnetError) return err.cniCode
  const code = err instanceof Error && 'code' in err ? err.code : undefined
  return code === 'ERR_NETLINK' || code === 'ERR_SYSCALL' || code === 'ERR_DECODE' || code === 'ERR_NETNS'
    ? CniCode.Kernel
    : CniCode.Internal
}

/** `details` is the error's own details and its cause chain, outermost first, joined by `: `. */
export function toCniError(err: unknown, cniVersion: string): CniErrorResult {
  const rest: string[] = []
  if (err instanceof FlatnetError && err.details !== undefined) rest.push(err.details)
  let code = codeOf(err)
  for (let e = err instanceof Error ? err.cause : undefined; e instanceof Error; e = e.cause) {
    rest.push(e.message)
    if (code === CniCode.Internal) code = codeOf(e)
  }
  const msg = err instanceof Error ? err.message : String(err)
  return { cniVersion, code, msg, ...(rest.length > 0 && { details: rest.join(': ') }) }
}

/** Whether `err` is one of node:fs with one of these codes, e.g. `ENOENT`. */
export function hasCode(err: unknown, ...codes: readonly string[]): boolean {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' && codes.includes(err.code)
}

/** Each error with its cause, in one line: `releasing the lease of web: ENOSPC; veth fn01: EBUSY`. */
export const joinCauses = (errors: readonly Error[]): string =>
  errors.map((e) => `${e.message}: ${e.cause instanceof Error ? e.cause.message : e.cause}`).join('; ')
