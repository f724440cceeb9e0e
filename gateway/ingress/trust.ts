/** Whether a client came by HTTPS, and which proxies are believed about theirs. */

import { BlockList, isIPv6 } from 'node:net'

/** Whether a client's connection is one of HTTPS: Node's TLS sockets alone have the property. */
export const isSecure = (socket: object): boolean => 'encrypted' in socket

const lists = new WeakMap<readonly string[], BlockList>()

/** @param networks of the configuration, each `10.0.0.0/8` @param address as the socket has it */
export function isTrusted(networks: readonly string[], address: string): boolean {
  if (networks.length === 0) return false
  const plain = /^::ffff:(?=\d+\.)/.test(address) ? address.slice(7) : address
  return listOf(networks).check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4')
}

function listOf(networks: readonly string[]): BlockList {
  let list = lists.get(networks)
  if (list === undefined) {
    list = new BlockList()
    for (const network of networks) {
      const [address = '', length] = network.split('/')
      list.addSubnet(address, Number(length), isIPv6(address) ? 'ipv6' : 'ipv4')
    }
    lists.set(networks, list)
  }
  return list
}
