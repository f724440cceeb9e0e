/**
 * From attachment to address without reading blocks: `keys/<containerId>:<ifname>` is a symlink to the address.
 *
 * A key is made before its lease and removed after it, so whatever the instant of a kill -9, the keys are a superset
 * of the leases: no key, no lease. The block is the truth; a key that leads nowhere is removed when met.
 * `keys/.boot` names the boot in which that holds: keys are not synced, so after a loss of power they are made anew.
 */
import { mkdirSync, readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { formatIpv4, type Ipv4, parseIpv4 } from '../core/addr.ts'
import { type Attachment, isIfname, NAME_RE } from '../core/attachment.ts'
import { FlatnetError } from '../core/errors.ts'
import { hasCode, replaceSymlink, sweepTemps } from '../kernel/durable.ts'

export type AttachmentId = Pick<Attachment, 'containerId' | 'ifname'>

export interface Key extends AttachmentId {
  readonly ip: Ipv4
}

const BOOT = '.boot'
const BLIND = '?'

export class Keys {
  readonly #folder: string
  constructor(networkFolder: string) {
    this.#folder = join(networkFolder, 'keys')
  }

  /** The boot in which the keys are complete; undefined when they are not, or were lost. */
  boot(): string | undefined {
    return this.#read(BOOT)?.replace(BLIND, '')
  }

  /** Whether leases may have been lost in this boot that no key leads to: together with their keys. */
  isBlind(): boolean {
    return this.#read(BOOT)?.endsWith(BLIND) ?? true
  }

  /** From here on the keys count as complete, as far as can be known when `isBlind`. */
  sign(bootId: string, isBlind: boolean): void {
    replaceSymlink(join(this.#folder, BOOT), isBlind ? bootId + BLIND : bootId)
  }

  /** The keys are about to change as a whole: until `sign` nothing may rely on them. */
  begin(): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o755 })
    sweepTemps(this.#folder)
    this.#unlink(BOOT)
  }

  ipOf(id: AttachmentId): Ipv4 | undefined {
    const target = this.#read(nameOf(id))
    return target === undefined ? undefined : parseIpv4(target)
  }

  /** A key of an earlier address of the attachment is replaced: its lease must be gone by now. */
  set(id: AttachmentId, ip: Ipv4): void {
    const path = join(this.#folder, nameOf(id))
    try {
      symlinkSync(formatIpv4(ip), path)
    } catch (err) {
      if (!hasCode(err, 'EEXIST')) throw err
      replaceSymlink(path, formatIpv4(ip))
    }
  }

  drop(id: AttachmentId): void {
    this.#unlink(nameOf(id))
  }

  /** All of them: cost grows with the number of leases. Foreign files are left out. */
  all(): Key[] {
    return this.#names().flatMap((name) => {
      const id = idOf(name)
      const ip = id === undefined ? undefined : parseIpv4(this.#read(name) ?? '')
      return id === undefined || ip === undefined ? [] : [{ ...id, ip }]
    })
  }

  #names(): string[] {
    try {
      return readdirSync(this.#folder)
    } catch (err) {
      if (hasCode(err, 'ENOENT')) return []
      throw err
    }
  }

  #read(name: string): string | undefined {
    try {
      return readlinkSync(join(this.#folder, name))
    } catch (err) {
      // EINVAL: a file of another kind has the name; it says nothing.
      if (hasCode(err, 'ENOENT', 'ENOTDIR', 'EINVAL')) return undefined
      throw err
    }
  }

  #unlink(name: string): void {
    try {
      unlinkSync(join(this.#folder, name))
    } catch (err) {
      if (!hasCode(err, 'ENOENT')) throw err
    }
  }
}

/** Neither part can hold a `:` or a `/` (core/attachment.ts), so the name says both. */
function nameOf({ containerId, ifname }: AttachmentId): string {
  if (!NAME_RE.test(containerId) || !isIfname(ifname)) {
    throw new FlatnetError(
      'ERR_FLATNET_ENV',
      `the attachment ${JSON.stringify(containerId)} ${JSON.stringify(ifname)} has a name that CNI does not allow`,
    )
  }
  return `${containerId}:${ifname}`
}

function idOf(name: string): AttachmentId | undefined {
  const [containerId = '', ifname = '', ...rest] = name.split(':')
  return rest.length === 0 && NAME_RE.test(containerId) && isIfname(ifname)
    ? { containerId, ifname }
    : undefined
}
