/**
 * A container with CAP_NET_RAW: sends Ethernet frames of its own making. Frames are built here and sent by a program.
 */
import { readFileSync } from 'node:fs'
import { close, SOCK_RAW, sendto, socket } from 'netlink-ts/libc.ts'
import { ipv4Bytes, parseIpv4 } from '../../../core/addr.ts'
import type { Machine } from '../kernel/machine.ts'

const AF_PACKET = 17

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex')
const word = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])
const ip4 = (text: string): Uint8Array => ipv4Bytes(parseIpv4(text) ?? 0)

/** RFC 1071. */
function checksum(bytes: Buffer): Buffer {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  return word(~sum & 0xffff)
}

export interface Ethernet {
  readonly from: string
  readonly to: string
}

const frame = ({ from, to }: Ethernet, type: number, body: Buffer): Buffer =>
  Buffer.concat([macBytes(to), macBytes(from), word(type), body])

export interface Arp extends Ethernet {
  readonly operation: 'request' | 'reply'
  readonly sender: string
  readonly senderMac?: string
  readonly target: string
}

export function arp({ operation, sender, senderMac, target, ...ethernet }: Arp): Buffer {
  const head = Buffer.from(`0001080006040${operation === 'request' ? '001' : '002'}`, 'hex')
  const from = macBytes(senderMac ?? ethernet.from)
  return frame(ethernet, 0x0806, Buffer.concat([head, from, ip4(sender), Buffer.alloc(6), ip4(target)]))
}

const UDP = 17
const ICMP = 1

function packet(protocol: number, from: string, to: string, body: Buffer): Buffer {
  const head = Buffer.concat([
    Buffer.from('4500', 'hex'),
    word(20 + body.length),
    Buffer.from('0000000040', 'hex'),
    Buffer.from([protocol, 0, 0]),
    ip4(from),
    ip4(to),
  ])
  checksum(head).copy(head, 10)
  return Buffer.concat([head, body])
}

/** A datagram from one address to another. */
export function udp(ethernet: Ethernet, from: string, to: string, port: number, text: string): Buffer {
  const data = Buffer.from(text)
  // Without a checksum, which IPv4 allows.
  const datagram = Buffer.concat([word(4_000), word(port), word(8 + data.length), word(0), data])
  return frame(ethernet, 0x0800, packet(UDP, from, to, datagram))
}

export interface Redirect extends Ethernet {
  /** Who says it: believed when it is the next hop that is used now. */
  readonly sender: string
  readonly receiver: string
  /** "Send what you have for `destination` to `nextHop`." */
  readonly destination: string
  readonly nextHop: string
}

/** ICMP redirect (RFC 792), about an echo reply of the receiver: about those Linux asks no socket. */
export function redirect({ sender, receiver, destination, nextHop, ...ethernet }: Redirect): Buffer {
  const about = packet(ICMP, receiver, destination, Buffer.alloc(8))
  const message = Buffer.concat([Buffer.from('05010000', 'hex'), ip4(nextHop), about])
  checksum(message).copy(message, 2)
  return frame(ethernet, 0x0800, packet(ICMP, sender, receiver, message))
}

/** Some frame of a protocol that bridges do not forward (IEEE 802.1D, table 7-10), from a MAC. */
export const lldp = (from: string): Buffer =>
  frame({ from, to: '01:80:c2:00:00:0e' }, 0x88cc, Buffer.alloc(46))

/** An IPv6 packet to all nodes that carries nothing (next header 59), from a MAC. */
export function emptyIpv6(from: string): Buffer {
  const head = Buffer.from('6000000000003bff', 'hex')
  return frame({ from, to: '33:33:00:00:00:01' }, 0x86dd, Buffer.concat([head, LINK_LOCAL, ALL_NODES]))
}

const ALL_NODES = Buffer.from('ff020000000000000000000000000001', 'hex')
const LINK_LOCAL = Buffer.from('fe80000000000000000000000000bad1', 'hex')

/** RFC 4861, 4.2: "I am a router for 1800 s", from fe80::bad1 to all nodes. */
export function routerAdvertisement(from: string): Buffer {
  const message = Buffer.from('86000000400007080000000000000000', 'hex')
  const pseudo = Buffer.concat([LINK_LOCAL, ALL_NODES, word(0), word(message.length), word(0), word(58)])
  checksum(Buffer.concat([pseudo, message])).copy(message, 2)
  const head = Buffer.concat([Buffer.from('60000000', 'hex'), word(message.length), Buffer.from([58, 255])])
  return frame(
    { from, to: '33:33:00:00:00:01' },
    0x86dd,
    Buffer.concat([head, LINK_LOCAL, ALL_NODES, message]),
  )
}

/** Sends the frames from an interface of a container. */
export async function sendFrames(
  m: Machine,
  netns: string,
  frames: readonly Buffer[],
  ifname = 'eth0',
): Promise<void> {
  const texts = frames.map((bytes) => bytes.toString('hex'))
  const node = [process.execPath, '--disable-warning=ExperimentalWarning']
  await m.exec('ip', 'netns', 'exec', netns, ...node, import.meta.filename, ifname, ...texts)
}

/** struct sockaddr_ll, packet(7). */
function sockaddrLl(ifname: string, destination: Buffer): Buffer {
  const address = Buffer.alloc(20)
  address.writeUInt16LE(AF_PACKET, 0)
  address.writeInt32LE(Number(readFileSync(`/sys/class/net/${ifname}/ifindex`, 'utf8')), 4)
  address[11] = 6
  destination.copy(address, 12, 0, 6)
  return address
}

if (process.argv[1] === import.meta.filename) {
  const [, , ifname = '', ...texts] = process.argv
  const fd = socket(AF_PACKET, SOCK_RAW, 0)
  for (const text of texts) {
    const bytes = Buffer.from(text, 'hex')
    sendto(fd, bytes, bytes.byteLength, 0, sockaddrLl(ifname, bytes))
  }
  close(fd)
}
