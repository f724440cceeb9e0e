/** What tests of the plane share: a network in memory that ends with the test, and recognizable data. */
import type { Test } from 'tap'
import type { Form } from '../../../gateway/dataplane/p2p/udp/types.ts'
import { type MemoryHost, MemoryNet } from './plane-memory.ts'
import { parsed } from './super-packet.ts'

export const FORMS: readonly Form[] = ['whole', 'record']

export const bytesOf = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) + seed) & 255)

/** @param form of all peers; absent: measured */
export function memoryNet(t: Pick<Test, 'teardown'>, form?: Form, hosts = 2, segmentBytes?: number) {
  const world = new MemoryNet(hosts, segmentBytes)
  t.teardown(() => {
    const isIntact = world.hosts.every((host) => host.isIntact)
    world.close()
    if (!isIntact) throw new Error('a byte was written outside its place')
  })
  if (form !== undefined)
    for (const host of world.hosts)
      for (const { hostId } of world.hosts) host.plane.peer(hostId)?.setForm(form)
  for (const host of world.hosts) host.events.length = 0
  const [a, b, c] = world.hosts as [MemoryHost, MemoryHost, MemoryHost]
  const atA = () => a.plane.peer(2)!.counters
  const atB = () => b.plane.peer(1)!.counters
  return { world, a, b, c, atA, atB }
}

/** All TCP data of these packets, in order. @throws {Error} pieces are missing or repeated, or a sum is wrong */
export function streamOf(written: readonly Buffer[], from: number, length: number): Buffer {
  const out = Buffer.alloc(length)
  let total = 0
  for (const piece of written.map(parsed)) {
    if (!piece.isRight) throw new Error('a checksum or a length is wrong')
    piece.data.copy(out, piece.sequence - from)
    total += piece.data.byteLength
  }
  if (total !== length) throw new Error(`${total} bytes of ${length}`)
  return out
}
