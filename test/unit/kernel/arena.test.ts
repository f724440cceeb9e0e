/** The arena: every address is inside its region or an exception, and the pages around it end the process. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { Arena, Iovecs } from '../../../kernel/arena.ts'
import { ReceiveSlots } from '../../../kernel/receive-slots.ts'

t.test('addresses are inside, or there is none', async (t) => {
  const arena = new Arena(1)
  const region = arena.take(100)
  const start = region.address(0, 0)
  fc.assert(
    fc.property(fc.integer({ min: -200, max: 300 }), fc.integer({ min: -200, max: 300 }), (at, length) => {
      const isInside = at >= 0 && length >= 0 && at + length <= 100
      try {
        return region.address(at, length) === start + BigInt(at) && isInside
      } catch (error) {
        return error instanceof RangeError && !isInside
      }
    }),
  )
  for (const bad of [Number.NaN, 0.5, Number.POSITIVE_INFINITY])
    t.throws(() => region.address(bad, 1), RangeError)
  t.throws(() => region.address(0, Number.NaN), /bytes 0 to NaN of a region of 100/)
  const other = arena.take(50)
  t.throws(() => other.copyFrom(0, region, 60, 50), /bytes 60 to 110 of a region of 100/)
  t.throws(() => other.copyFrom(10, region, 0, 50), /bytes 10 to 60 of a region of 50/)
  const iovecs = new Iovecs(arena, 2)
  t.throws(() => iovecs.set(0, other, 40, 20), RangeError)
  t.throws(() => iovecs.set(2, other, 0, 1), RangeError)
  t.throws(() => iovecs.address(1, 2), RangeError)
  t.throws(() => arena.take(1 << 20), /arena of 65536 bytes with \d+ left: 1048576 wanted/)
})

t.test('regions do not overlap and are aligned', async (t) => {
  const arena = new Arena(1 << 16)
  const regions = [1, 63, 64, 65, 100].map((length) => arena.take(length))
  for (const [i, region] of regions.entries()) {
    t.equal(region.address(0, 0) % 64n, 0n)
    region.bytes.fill(i + 1)
  }
  for (const [i, region] of regions.entries()) t.ok(region.bytes.every((byte) => byte === i + 1))
})

t.test('touching what lies before or behind ends the process', async (t) => {
  const file = JSON.stringify(join(import.meta.dirname, '../../../kernel/arena.ts'))
  for (const offset of ['- 1n', '+ 65536n']) {
    const program = `import { Arena } from ${file}; import { setInt8 } from 'node:ffi'
      const arena = new Arena(65536); const at = arena.take(65536).address(0, 0); setInt8(at, 0, 1); setInt8(at ${offset}, 0, 1)`
    const { signal } = spawnSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program],
      {
        env: { ...process.env, NODE_OPTIONS: '' },
      },
    )
    t.equal(signal, 'SIGSEGV', offset)
  }
})

t.test('slots: any batch from any slot in any layout lands as its datagrams', async () => {
  const slots = new ReceiveSlots(new Arena(2 << 20))
  fc.assert(
    fc.property(
      fc.constantFrom(1_100, 1_232, 1_472, 4_000, 9_000),
      fc.integer({ min: 0, max: 128 }),
      fc.integer({ min: 1, max: 9_500 }),
      fc.integer({ min: 1, max: 64 }),
      fc.nat(),
      (layout, from, size, count, rest) => {
        slots.layOut(layout)
        const slot = slots.hasRoom(from) ? from : 0
        const most = Math.min(count, Math.floor(65_535 / size))
        if (most === 0) return true
        const bytes = (most - 1) * size + 1 + (rest % size)
        // The kernel names a segment's size only for a batch; a single datagram is as large as it is.
        const segment = Math.min(size, bytes)
        const stream = Uint8Array.from({ length: bytes }, (_, i) => (i * 13) >> 4)
        for (let at = 0, i = slot; at < bytes; i++) {
          const end = Math.min(bytes, at + 8)
          slots.headers.bytes.set(stream.subarray(at, end), i * 8)
          at = end
          slots.texts.bytes.set(stream.subarray(at, at + slots.stride), slots.textAt(i))
          at += slots.stride
        }
        const got = slots.settle(slot, bytes, segment, () => {})
        if (segment > 9_000) return got.count === 1 && slots.lengths[got.first] === 0
        if (got.count !== most) return false
        return Array.from({ length: most }, (_, i) => i).every((i) => {
          const datagram = stream.subarray(i * segment, (i + 1) * segment)
          const at = got.first + i
          const head = slots.headers.bytes.subarray(at * 8, at * 8 + Math.min(8, datagram.byteLength))
          const text = slots.texts.bytes.subarray(
            slots.textAt(at),
            slots.textAt(at) + datagram.byteLength - head.byteLength,
          )
          return slots.lengths[at] === datagram.byteLength && Buffer.concat([head, text]).equals(datagram)
        })
      },
    ),
    { numRuns: 60 },
  )
})
