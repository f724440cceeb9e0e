/** One netfilter socket for all that a verb does, opened when it is first needed. */

import { NETLINK_NETFILTER, NetlinkSocket } from 'netlink-ts/socket.ts'

/**
 * Keep it open while there is other work: closing it after a transaction that deleted something waits for the
 * kernel to be done with the deletion, an RCU grace period of 19 ms in the middle of a DEL (nft_rcv_nl_event).
 */
export class Netfilter implements Disposable {
  #socket: NetlinkSocket | undefined

  get socket(): NetlinkSocket {
    this.#socket ??= NetlinkSocket.open(NETLINK_NETFILTER)
    return this.#socket
  }

  [Symbol.dispose](): void {
    this.#socket?.close()
  }
}
