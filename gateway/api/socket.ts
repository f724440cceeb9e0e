/**
 * The gateway's Unix socket: claimed without a gap, one gateway at a time.
 *
 * The name is unlinked only while it still leads to the socket that this gateway bound.
 */

import { once } from 'node:events'
import { chmod, chown, mkdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import type { DaemonConf } from '../../conf/daemon.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'

/** A gateway that is there answers a connect at once; one whose queue is full for this long is there as well. */
const PROBE_MS = 1000
/** For API calls under way when the gateway stops; the plugin waits for 300 ms at most. */
const CLOSE_MS = 1000

/** @throws {FlatnetError} ERR_FLATNET_IO when another gateway listens there */
export async function refuseSecondGateway(path: string): Promise<void> {
  if (await answers(path)) {
    throw new FlatnetError(
      'ERR_FLATNET_IO',
      `another gateway listens on ${path}: stop it first, or set api.socket to another path`,
    )
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    const timer = setTimeout(() => settle(() => resolve(true)), PROBE_MS)
    const settle = (then: () => void): void => {
      clearTimeout(timer)
      socket.destroy()
      then()
    }
    socket.on('connect', () => settle(() => resolve(true)))
    socket.on('error', (err) => {
      // ENOTSOCK: a plain file is in the way, which a rename would silently destroy.
      if (hasCode(err, 'ENOENT', 'ECONNREFUSED')) settle(() => resolve(false))
      else if (hasCode(err, 'EAGAIN')) settle(() => resolve(true))
      else settle(() => reject(notOurs(path, err)))
    })
  })
}

function notOurs(path: string, cause: unknown): FlatnetError {
  const wayOut = hasCode(cause, 'EACCES', 'EPERM', 'EROFS') ? 'run as root' : 'remove what is in the way'
  return new FlatnetError(
    'ERR_FLATNET_IO',
    `cannot use ${path} as the gateway's socket: ${wayOut}, or set api.socket to another path`,
    { cause },
  )
}

/**
 * Listens under a temporary name, sets owner and mode, and renames over a left-over of a killed gateway: no moment
 * without a socket or with wrong permissions. libuv unlinks the name it was bound to, so never a successor's socket.
 */
export class ApiSocket {
  readonly #conf: DaemonConf['api']
  readonly #make: () => Server
  readonly #log: Log
  #server: Server | undefined
  /** `<dev>:<ino>` of what we put there. */
  #inode: string | undefined
  #isEnsuring = false
  #isClosed = false

  constructor(conf: DaemonConf['api'], make: () => Server, log: Log) {
    this.#conf = conf
    this.#make = make
    this.#log = log
  }

  /** @throws {FlatnetError} ERR_FLATNET_IO */
  async open(): Promise<void> {
    const { socket: path, group } = this.#conf
    const gid = group === undefined ? undefined : await groupId(group)
    await refuseSecondGateway(path)
    await refusePlainFile(path)
    try {
      await this.#put(path, gid)
    } catch (cause) {
      throw notOurs(path, cause)
    }
  }

  async #put(path: string, gid: number | undefined): Promise<void> {
    await makeFolder(dirname(path), gid)
    const temp = `${path}.${process.pid}`
    await unlink(temp).catch(() => {})
    const server = this.#make()
    server.listen({ path: temp })
    await once(server, 'listening')
    server.on('error', (err) => this.#log.error({ err }, 'api listener failed'))
    try {
      await chmod(temp, 0o660)
      if (gid !== undefined) await chown(temp, -1, gid)
      const inode = await inodeOf(temp)
      if (this.#isClosed) throw new Error('the gateway is stopping')
      await rename(temp, path)
      this.#inode = inode
      this.#server = server
    } catch (err) {
      server.close()
      throw err
    }
  }

  /**
   * Puts the socket back when another program, such as a cleaner of /run, has deleted it. Never takes another
   * gateway's.
   */
  async ensure(): Promise<void> {
    const { socket: path } = this.#conf
    if (this.#isEnsuring || this.#isClosed || (await inodeOf(path)) === this.#inode) return
    this.#isEnsuring = true
    const before = this.#server
    try {
      await this.open()
      before?.close()
      this.#log.warn({ endpoint: path }, 'api socket was gone and made again')
    } catch (err) {
      this.#log.error({ err, endpoint: path }, 'api socket was lost')
    } finally {
      this.#isEnsuring = false
    }
  }

  /** Unlinks the socket while it is still this gateway's. Calls under way are short; events were ended before. */
  async close(): Promise<void> {
    const server = this.#server
    this.#isClosed = true
    if (server === undefined) return
    if ((await inodeOf(this.#conf.socket)) === this.#inode) await unlink(this.#conf.socket).catch(() => {})
    const closed = once(server, 'close')
    server.close()
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS)
    await closed
    clearTimeout(timer)
  }
}

async function inodeOf(path: string): Promise<string | undefined> {
  const there = await stat(path, { bigint: true }).catch(() => undefined)
  return there === undefined ? undefined : `${there.dev}:${there.ino}`
}

async function makeFolder(path: string, gid: number | undefined): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o750 })
  if (made !== undefined && gid !== undefined) await chown(path, -1, gid)
}

async function refusePlainFile(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined)
  if (there !== undefined && !there.isSocket()) throw notOurs(path, new Error('it is not a socket'))
}

/** From /etc/group; getgrnam(3) has no counterpart in Node. */
async function groupId(name: string): Promise<number> {
  const line = (await readFile('/etc/group', 'utf8')).split('\n').find((l) => l.startsWith(`${name}:`))
  const gid = Number(line?.split(':')[2] ?? Number.NaN)
  if (Number.isInteger(gid)) return gid
  throw new FlatnetError(
    'ERR_FLATNET_CONFIG',
    `api.group is ${name}: no such group, make it with groupadd ${name}`,
  )
}
