/** The socket of one link: what comes to the group of mDNS, and what is sent to it. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { openMulticast } from '../../kernel/multicast-socket.ts'
import { setDeaf } from '../../kernel/socket-filter.node.ts'
import { literalIpv4 } from '../base/literal.ts'
import { MDNS_PORT, type Sender } from './link-names.ts'

const GROUP = '224.0.0.251'
/** A datagram leaves at once, but for a queue of the device that does not empty. */
const CLOSE_MS = 500

export interface LinkSocketDeps {
  readonly link: { readonly ifname: string; readonly index: number }
  received(bytes: Buffer, from: Sender): void
  /**
   * @param err null: it went out
   * @param isReply to one client, not to all on the link
   */
  sent(err: NodeJS.ErrnoException | null, isReply: boolean): void
  failed(err: Error): void
}

export interface LinkSocket {
  send(bytes: Buffer, to?: Sender): void
  /**
   * What comes while it is deaf is dropped by the kernel.
   * @throws {SyscallError} ENOMEM
   */
  setDeaf(isDeaf: boolean): void
  /** What was sent before has gone out by then. */
  close(): Promise<void>
}

/** @throws {SyscallError} EADDRINUSE: another program has UDP 5353 for itself */
export async function openLinkSocket({ link, received, sent, failed }: LinkSocketDeps): Promise<LinkSocket> {
  const fd = openMulticast({ group: GROUP, port: MDNS_PORT, link })
  const socket = createSocket({ type: 'udp4', lookup: literalIpv4 })
  const bound = once(socket, 'listening')
  socket.bind({ fd })
  await bound
  socket.on('error', failed)
  socket.on('message', (bytes, { address, port }) => received(bytes, { address, port }))
  let isClosed = false
  let isDeaf = false
  const pending = new Set<object>()
  let idle: (() => void) | undefined
  return {
    send(bytes, to) {
      if (isClosed) return
      const { address, port } = to ?? { address: GROUP, port: MDNS_PORT }
      pending.add(bytes)
      socket.send(bytes, port, address, (err) => {
        pending.delete(bytes)
        sent(err, to !== undefined)
        if (pending.size === 0) idle?.()
      })
    },
    setDeaf(wanted) {
      if (isClosed || wanted === isDeaf) return
      setDeaf(fd, wanted)
      isDeaf = wanted
    },
    async close() {
      isClosed = true
      if (pending.size > 0)
        await Promise.race([new Promise<void>((resolve) => (idle = resolve)), sleep(CLOSE_MS)])
      socket.close()
    },
  }
}
