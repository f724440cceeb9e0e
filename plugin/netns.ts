/** The container's namespace as CNI names it: there, a namespace, and not our own. */

import { close } from 'netlink-ts/libc.ts'
import {
  type NetnsIdentity,
  netnsIdentity,
  netnsIdentityOf,
  openNetns,
  ownNetns,
  sameNetns,
} from 'netlink-ts/netns.ts'
import { FlatnetError } from '../core/errors.ts'

export interface ContainerNetns extends Disposable {
  readonly fd: number
  /** `<dev>:<ino>`, as leases hold it. */
  readonly inode: string
}

/** @throws {FlatnetError} 4 naming CNI_NETNS, or 8 when it is the namespace of the plugin itself */
export function enterable(path: string): ContainerNetns {
  const fd = opened(path)
  const netns = netnsIdentityOf(fd)
  if (!isOwn(netns)) return { fd, inode: `${netns.dev}:${netns.ino}`, [Symbol.dispose]: () => close(fd) }
  close(fd)
  throw own(path)
}

function opened(path: string): number {
  try {
    return openNetns(path)
  } catch (cause) {
    throw unusable(path, cause)
  }
}

/** @throws {FlatnetError} code 8: working there would change this host's own network */
export function refuseOwn(path: string): void {
  let netns: NetnsIdentity
  try {
    netns = netnsIdentity(path)
  } catch {
    // The path does not exist, or is no namespace.
    return
  }
  if (isOwn(netns)) throw own(path)
}

function isOwn(netns: NetnsIdentity): boolean {
  try {
    return sameNetns(netns, ownNetns())
  } catch {
    return false
  }
}

const own = (path: string): FlatnetError =>
  new FlatnetError('ERR_FLATNET_NETNS', `CNI_NETNS ${path} is the network namespace of the plugin itself`)

const unusable = (path: string, cause: unknown): FlatnetError =>
  new FlatnetError('ERR_FLATNET_ENV', `CNI_NETNS is ${JSON.stringify(path)}, which is no network namespace`, {
    cause,
  })
