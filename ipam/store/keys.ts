/**
 * From attachment to address without reading blocks: `keys/<containerId>:<ifname>` is a symlink to the address.
 *
 * A key is made before its lease and removed after it, so whatever the instant of a kill -9, the keys are a superset
 * of the leases: no key, no lease. The block is the truth; the journal names the key that a kill may have left over.
 * `keys/.boot` names the boot in which that holds: keys are not synced, so after a loss of power they are made anew.
 * The layout of the blocks precedes it, so an older Flatnet makes its keys anew and then refuses the blocks that it
 * meets.
 */

import { mkdirSync, readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs'
import { formatIpv4, type Ipv4, parseIpv4 } from '../../core/addr.ts'
import { type Attachment, isIfname, isName } from '../../core/attachment.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import { replaceSymlink, sweepTemps } from '../../kernel/durable.ts'
import { PRIVATE_FOLDER } from '../../kernel/private.ts'

export type AttachmentId = Pick<Attachment, 'containerId' | 'ifname'>

export interface Key extends AttachmentId {
  readonly ip: Ipv4
}

export interface LeftOver {
  readonly ids: readonly AttachmentId[]
  /** The key was about to be made. */
  readonly isNew: boolean
}

const BOOT = '.boot'
const LAYOUT = '2:'
const BLIND = '?'
const JOURNAL = '.journal'
const ALL = '*'
/** No name begins with it, so an older Flatnet looks at all keys. */
const NEW = '+'

export class Keys {
  readonly #folder: string
  constructor(networkFolder: string) {
    this.#folder = `${networkFolder}/keys`
  }

  /** The boot in which the keys are complete, whatever the layout; undefined when they are not, or were lost. */
  boot(): string | undefined {
    const target = this.#read(BOOT)?.replace(BLIND, '')
    return target?.startsWith(LAYOUT) ? target.slice(LAYOUT.length) : target
  }

  /** Whether the keys are complete in this boot and every block is of this layout. */
  isSigned(bootId: string): boolean {
    const target = this.#read(BOOT)
    return target === LAYOUT + bootId || target === LAYOUT + bootId + BLIND
  }

  /** Whether leases may have been lost in this boot that no key leads to: together with their keys. */
  isBlind(): boolean {
    return this.#read(BOOT)?.endsWith(BLIND) ?? true
  }

  /** From here on the keys count as complete, as far as can be known when `isBlind`. */
  sign(bootId: string, isBlind: boolean): void {
    this.#link(BOOT, LAYOUT + bootId + (isBlind ? BLIND : ''))
  }

  /**
   * Before keys and blocks change: names the key that changes, or all of them. A writer that finds a journal when it
   * gets the lock knows that the one before it was killed amid the change, so this key may lead nowhere.
   * @param isNew the key is not there yet: its attachment holds nothing until the change is whole
   */
  openJournal(id: AttachmentId | 'all', isNew: boolean): void {
    this.#link(JOURNAL, id === 'all' ? ALL : (isNew ? NEW : '') + nameOf(id))
  }

  closeJournal(): void {
    this.#unlink(JOURNAL)
  }

  /** What a killed writer was changing; undefined when none was. Also removes its temp files. */
  leftOver(): LeftOver | undefined {
    const text = this.#read(JOURNAL)
    if (text === undefined) return undefined
    sweepTemps(this.#folder)
    const isNew = text.startsWith(NEW)
    const id = idOf(isNew ? text.slice(NEW.length) : text)
    return id === undefined ? { ids: this.all(), isNew: false } : { ids: [id], isNew }
  }

  /** The keys are about to change as a whole: until `sign` nothing may rely on them. */
  begin(): void {
    mkdirSync(this.#folder, { recursive: true, mode: PRIVATE_FOLDER })
    sweepTemps(this.#folder)
    this.#unlink(BOOT)
    this.#unlink(JOURNAL)
  }

  ipOf(id: AttachmentId): Ipv4 | undefined {
    const target = this.#read(nameOf(id))
    return target === undefined ? undefined : parseIpv4(target)
  }

  /** A key of an earlier address of the attachment is replaced: its lease must be gone by now. */
  set(id: AttachmentId, ip: Ipv4): void {
    this.#link(nameOf(id), formatIpv4(ip))
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
      return readlinkSync(`${this.#folder}/${name}`)
    } catch (err) {
      // EINVAL: a file of another kind has the name; it says nothing.
      if (hasCode(err, 'ENOENT', 'ENOTDIR', 'EINVAL')) return undefined
      throw err
    }
  }

  /** At once when the name is free, which leaves no temp file to a kill. */
  #link(name: string, target: string): void {
    const path = `${this.#folder}/${name}`
    try {
      symlinkSync(target, path)
    } catch (err) {
      if (!hasCode(err, 'EEXIST')) throw err
      replaceSymlink(path, target)
    }
  }

  #unlink(name: string): void {
    try {
      unlinkSync(`${this.#folder}/${name}`)
    } catch (err) {
      if (!hasCode(err, 'ENOENT')) throw err
    }
  }
}

/** Neither part can hold a `:` or a `/` (core/attachment.ts), so the name says both. */
function nameOf({ containerId, ifname }: AttachmentId): string {
  if (!isName(containerId) || !isIfname(ifname)) {
    throw new FlatnetError(
      'ERR_FLATNET_ENV',
      `the attachment ${JSON.stringify(containerId)} ${JSON.stringify(ifname)} has a name that CNI does not allow`,
    )
  }
  return `${containerId}:${ifname}`
}

function idOf(name: string): AttachmentId | undefined {
  const [containerId = '', ifname = '', ...rest] = name.split(':')
  return rest.length === 0 && isName(containerId) && isIfname(ifname) ? { containerId, ifname } : undefined
}
