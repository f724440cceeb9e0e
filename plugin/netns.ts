/** The container's namespace as CNI names it: there, a namespace, and not our own. */

import { close } from 'netlink-ts/libc.ts'
import { netnsIdentity, openNetns, ownNetns, sameNetns } from 'netlink-ts/netns.ts'
import { FlatnetError } from '../core/errors.ts'

export interface ContainerNetns extends Disposable {
  readonly fd: number
  /** `<dev>:<ino>`, as leases hold it. */
  readonly inode: string
}

/** @throws {FlatnetError} 4 naming CNI_NETNS, or 8 when it is the namespace of the plugin itself */
export function enterable(path: string): ContainerNetns {
  refuseOwn(path)
  try {
    const { dev, ino } = netnsIdentity(path)
    const fd = openNetns(path)
    return { fd, inode: `${dev}:${ino}`, [Symbol.dispose]: () => close(fd) }
  } catch (cause) {
    throw unusable(path, cause)
  }
}

/** @throws {FlatnetError} code 8: working there would change this host's own network */
export function refuseOwn(path: string): void {
  if (!isOwn(path)) return
  throw new FlatnetError(
    'ERR_FLATNET_NETNS',
    `CNI_NETNS ${path} is the network namespace of the plugin itself`,
  )
}

/** False also when there is nothing at `path`. */
function isOwn(path: string): boolean {
  try {
    return sameNetns(path, ownNetns())
  } catch {
    return false
  }
}

const unusable = (path: string, cause: unknown): FlatnetError =>
  new FlatnetError('ERR_FLATNET_ENV', `CNI_NETNS is ${JSON.stringify(path)}, which is no network namespace`, {
    cause,
  })
