/** Frames: the bytes of the header, any cut of the stream, bounds. */
import fc from 'fast-check'
import t from 'tap'
import {
  encodeFrame,
  FRAME_HEADER,
  FrameDecoder,
  FrameError,
  type FrameHeader,
  FrameType,
  MAX_PAYLOAD,
} from '../../../../../gateway/dataplane/tunnel/frame.ts'

const header = (over: Partial<FrameHeader> = {}): FrameHeader => ({
  type: FrameType.DATA,
  flags: 0,
  srcHost: 1,
  dstHost: 2,
  hops: 0,
  ...over,
})

function collector() {
  const frames: { header: FrameHeader; payload: Uint8Array }[] = []
  const decoder = new FrameDecoder((h, bytes, start, end) => {
    frames.push({ header: { ...h }, payload: bytes.slice(start, end) })
  })
  return { frames, decoder }
}

t.test('the header, byte by byte', async (t) => {
  const frame = encodeFrame(
    header({ type: FrameType.RELAY, flags: 3, srcHost: 0x0102, dstHost: 0xfffe, hops: 1 }),
    Uint8Array.of(9, 8),
  )
  t.equal(
    frame.toHex(),
    [
      '00000002', // length of the payload
      '06', // RELAY
      '03', // flags
      '0102', // source host
      'fffe', // destination host
      '01', // hops
      '00', // reserved
      '0908',
    ].join(''),
  )
})

t.test('any cut of the stream gives the same frames', async (t) => {
  const frame = fc.record({
    type: fc.nat({ max: 255 }),
    flags: fc.nat({ max: 255 }),
    srcHost: fc.nat({ max: 65_535 }),
    dstHost: fc.nat({ max: 65_535 }),
    hops: fc.nat({ max: 255 }),
    payload: fc.uint8Array({ maxLength: 60 }),
  })
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.nat({ max: 90 }), { maxLength: 30 }),
      (sent, cuts) => {
        const stream = Buffer.concat(sent.map(({ payload, ...h }) => encodeFrame(h, payload)))
        const { frames, decoder } = collector()
        let at = 0
        for (const cut of [...cuts, stream.byteLength]) {
          decoder.push(stream.subarray(at, at + cut))
          at = Math.min(stream.byteLength, at + cut)
        }
        t.same(
          frames.map((f) => ({ ...f.header, payload: f.payload.toHex() })),
          sent.map((s) => ({ ...s, payload: s.payload.toHex() })),
        )
        return decoder.pending === 0
      },
    ),
  )
})

t.test('the largest frame byte by byte, and in chunks of TLS with others around it', async (t) => {
  const large = new Uint8Array(MAX_PAYLOAD).map((_, i) => i * 7)
  const stream = Buffer.concat([
    encodeFrame(header(), Uint8Array.of(1)),
    encodeFrame(header(), large),
    encodeFrame(header(), new Uint8Array(0)),
  ])
  for (const size of [1, 11, 12, 13, 16_384, stream.byteLength]) {
    const { frames, decoder } = collector()
    for (let at = 0; at < stream.byteLength; at += size) decoder.push(stream.subarray(at, at + size))
    t.same(
      frames.map((f) => f.payload.byteLength),
      [1, MAX_PAYLOAD, 0],
      `chunks of ${size}`,
    )
    t.ok(Buffer.from(large).equals(frames[1]?.payload ?? new Uint8Array(0)))
  }
})

t.test('a length above the bound ends the stream, whole or in pieces', async (t) => {
  for (const length of [MAX_PAYLOAD + 1, 0x8000_0000, 0xffff_ffff]) {
    const bad = Buffer.alloc(FRAME_HEADER)
    bad.writeUInt32BE(length)
    for (const size of [FRAME_HEADER, 5]) {
      const { frames, decoder } = collector()
      decoder.push(encodeFrame(header(), Uint8Array.of(1)))
      t.throws(
        () => {
          for (let at = 0; at < bad.byteLength; at += size) decoder.push(bad.subarray(at, at + size))
        },
        { code: 'ERR_FLATNET_FRAME', message: `frame of ${length} bytes: at most ${MAX_PAYLOAD}` },
      )
      t.throws(() => decoder.push(encodeFrame(header(), Uint8Array.of(1))), FrameError, 'and stays so')
      t.equal(frames.length, 1)
    }
  }
})

t.test('an exception of the sink does not give the same frame twice', async (t) => {
  let calls = 0
  const decoder = new FrameDecoder(() => {
    calls++
    throw new Error('sink')
  })
  const frame = encodeFrame(header(), Uint8Array.of(1, 2, 3))
  decoder.push(frame.subarray(0, 13))
  t.throws(() => decoder.push(frame.subarray(13)), { message: 'sink' })
  decoder.push(new Uint8Array(0))
  t.equal(calls, 1)
})

t.test('arbitrary bytes end in frames or an error of their own', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
      const { decoder } = collector()
      try {
        for (const chunk of chunks) decoder.push(chunk)
      } catch (error) {
        return error instanceof FrameError
      }
      return true
    }),
    { numRuns: 2_000 },
  )
  t.pass()
})

t.test('a payload above the bound cannot be encoded', async (t) => {
  t.throws(() => encodeFrame(header(), new Uint8Array(MAX_PAYLOAD + 1)), RangeError)
})
