/** The attachment (network, containerId, ifname): the key of all state, and its names in the kernel. */

export interface Attachment {
  readonly network: string
  readonly containerId: string
  readonly ifname: string
}

/** CNI SPEC: network names and container ids; `/` and blanks cannot occur, so both are safe in paths and aliases. */
export const NAME_RE = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** `NAME_RE`, for the hot path: see `octetOf`. */
export function isName(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const isAlphanumeric =
      (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || (code >= 65 && code <= 90)
    if (!isAlphanumeric && (i === 0 || !'_.-'.includes(text[i] ?? ''))) return false
  }
  return text.length > 0
}

/** An ifalias holds 255 bytes (IFALIASZ): with these bounds all three names and the address fit in it. */
export const MAX_NETWORK_BYTES = 63
export const MAX_CONTAINER_ID_BYTES = 128

export const attachmentKey = (a: Attachment): string => `${a.network}/${a.containerId}/${a.ifname}`

export const sameAttachment = (a: Attachment, b: Attachment): boolean =>
  a.network === b.network && a.containerId === b.containerId && a.ifname === b.ifname

/**
 * Kernel: IFNAMSIZ 16 with the NUL; no `/`, `:`, blanks; not `.` or `..` (dev_valid_name, CNI skel). Also not `%d`,
 * which the kernel replaces by a number (dev_alloc_name), nor `all` and `default`, which have sysctls (EINVAL).
 */
export function isIfname(name: string): boolean {
  if (name === 'all' || name === 'default') return false
  // Nearly all names are ASCII, where a byte is a character.
  return (name.length <= 15 && isName(name)) || isOddIfname(name)
}

/** For messages: what `isIfname` takes. */
export const IFNAME_RULE = '1 to 15 bytes without / : % or blanks, not . or .., all or default'

/** A function of its own, as the engine compiles a function's expressions when it is first called. */
const isOddIfname = (name: string): boolean =>
  name.length > 0 && Buffer.byteLength(name) <= 15 && name !== '.' && name !== '..' && !/[/:%\s]/.test(name)

const MASK64 = 0xffffffffffffffffn

/**
 * FNV-1a, 64 bit, then the finaliser of MurmurHash3: FNV alone leaves the high bits alike when only the last byte
 * differs. Not cryptographic: a collision is found by the ifalias and refused, never acted on.
 */
function hash64(text: string): bigint {
  // FNV's prime is 2^40 + 0x1b3. In two halves: 70 steps of BigInt are a quarter of a millisecond.
  let [high, low] = [0xcbf29ce4, 0x84222325]
  const bytes = new TextEncoder().encode(text)
  for (let i = 0; i < bytes.length; i++) {
    low = (low ^ (bytes[i] ?? 0)) >>> 0
    const product = low * 0x1b3
    high = (high * 0x1b3 + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0
    low = product >>> 0
  }
  let hash = (BigInt(high) << 32n) | BigInt(low)
  for (const factor of [0xff51afd7ed558ccdn, 0xc4ceb9fe1a85ec53n]) {
    hash = ((hash ^ (hash >> 33n)) * factor) & MASK64
  }
  return hash ^ (hash >> 33n)
}

/** 40 bits of a hash of the attachment as 10 hex digits; the key of index entries and host interfaces. */
export function attachmentHash(a: Attachment): string {
  return (hash64(attachmentKey(a)) >> 24n).toString(16).padStart(10, '0')
}

/** Name of the host end of the veth: DEL finds the link by it without any state. 12 bytes, e.g. `fn0c4be9a1f2`. */
export const hostIfname = (a: Attachment): string => `fn${attachmentHash(a)}`

export const ADDRESS_NAME = 'fnip-'

/**
 * The second name of the host end. Names are unique in a network namespace, so no two links ever have one address.
 * @param ip canonical
 */
export const addressName = (ip: string): string => ADDRESS_NAME + ip

const ALIAS_TAG = 'flatnet'

/** What `ip link` shows for the host end: `flatnet <network> <containerId> <ifname> <ip/len>`. */
export function formatAlias(a: Attachment, cidr: string): string {
  return [ALIAS_TAG, a.network, a.containerId, a.ifname, cidr].join(' ')
}

/** The attachment and address in an alias that Flatnet wrote; undefined for any other. */
export function parseAlias(alias: string): { attachment: Attachment; cidr: string } | undefined {
  const [tag, network, containerId, ifname, cidr, ...rest] = alias.split(' ')
  if (tag !== ALIAS_TAG || rest.length > 0) return undefined
  if (!network || !containerId || !ifname || !cidr) return undefined
  return { attachment: { network, containerId, ifname }, cidr }
}
