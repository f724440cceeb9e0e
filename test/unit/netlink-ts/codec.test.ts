/** The combinators: what each refuses, and what a DecodeError says. */
import { attrs, keyed, list, many, nested } from 'netlink-ts/attrs.ts'
import {
  bytes,
  type Codec,
  chars,
  cstring,
  decode,
  encode,
  flag,
  headed,
  i32,
  pad,
  struct,
  thunk,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
  u64be,
} from 'netlink-ts/codec.ts'
import { DecodeError } from 'netlink-ts/errors.ts'
import t from 'tap'
import { hex } from '../../helpers/kernel/netlink-hex.ts'

const failure = (codec: string, attribute: string | undefined, offset: number) => ({
  name: 'DecodeError',
  code: 'ERR_DECODE',
  codec,
  attribute,
  offset,
})

t.test('integers keep their byte order and their bounds', async (t) => {
  const rows = [
    { codec: u8, value: 0xfe, wire: 'fe', over: 256 },
    { codec: u16, value: 0xfffe, wire: 'feff', over: 65536 },
    { codec: u32, value: 0xfffffffe, wire: 'feffffff', over: 2 ** 32 },
    { codec: u16be, value: 8080, wire: '1f90', over: 65536 },
    { codec: u32be, value: 0x0a640102, wire: '0a640102', over: 2 ** 32 },
    { codec: i32, value: -2, wire: 'feffffff', over: 2 ** 31 },
  ]
  for (const { codec, value, wire, over } of rows) {
    t.equal(encode(codec, value).toHex(), wire, codec.name)
    t.equal(decode(codec, hex(wire)), value)
    for (const bad of [over, 0.5, Number.NaN])
      t.throws(() => encode(codec, bad), RangeError, `${codec.name} ${bad}`)
    t.throws(() => decode(codec, hex(`${wire}00`)), DecodeError, 'one byte too many')
  }
  t.throws(() => encode(u8, -1), RangeError)
  t.equal(encode(u64, 0x0102n).toHex(), '0201000000000000')
  t.equal(encode(u64be, 0x0102n).toHex(), '0000000000000102')
  t.equal(decode(u64be, hex('0000000000000102')), 0x0102n)
  t.throws(() => encode(u64, -1n), RangeError)
  t.throws(() => encode(u64, 2n ** 64n), RangeError)
})

t.test('strings end at the first NUL and may not contain one', async (t) => {
  t.equal(encode(cstring, 'lo').toHex(), '6c6f00')
  t.equal(encode(chars, 'lo').toHex(), '6c6f')
  t.equal(encode(chars, '').length, 0)
  t.equal(decode(cstring, hex('6c6f00 41')), 'lo')
  t.equal(decode(chars, hex('6c6f')), 'lo', 'without NUL up to the end')
  t.equal(decode(cstring, hex('c3a9')), 'é')
  t.throws(() => encode(cstring, 'a\0b'), RangeError)
  t.throws(() => encode(chars, 'a\0b'), RangeError)
})

t.test('a struct has its fields without the padding', async (t) => {
  const header = struct('header', { family: u8, pad: pad(1), type: u16 })
  t.equal(header.size, 4)
  t.equal(encode(header, { family: 1, type: 2 }).toHex(), '01000200')
  t.strictSame(decode(header, hex('01ff0200')), { family: 1, type: 2 })
  t.throws(() => decode(header, hex('010002')), failure('header', undefined, 0))
  t.throws(() => struct('bad', { name: cstring }), /bad\.name/)
})

const table = attrs('T', {
  mtu: [4, u32],
  up: [5, flag],
  name: [3, cstring],
  alt: [6, many(cstring)],
  raw: [7, bytes],
})

t.test('attributes', async (t) => {
  t.test('are written in the order of the table and aligned', async (t) => {
    const wire = hex('0800 0400 dc050000  0400 0500  0700 0300 6c6f00 00')
    t.equal(encode(table, { name: 'lo', up: true, mtu: 1500 }).toHex(), wire.toHex())
    t.strictSame(decode(table, wire), { mtu: 1500, up: true, name: 'lo' })
  })
  t.test('that are undefined are left out', async (t) => {
    t.equal(encode(table, { mtu: undefined, unknown: undefined }).length, 0)
  })
  t.test('may come without padding at the end, and with padding only of zeros', async (t) => {
    t.strictSame(decode(table, hex('0700 0300 6c6f00')), { name: 'lo' })
    t.strictSame(decode(table, hex('0700 0300 6c6f00 00 0000')), { name: 'lo' })
    t.throws(() => decode(table, hex('0700 0300 6c6f00 00 0001')), failure('T', undefined, 9))
  })
  t.test('of a wrong length name table, attribute and offset', async (t) => {
    t.throws(() => decode(table, hex('0400 0500 0700 0400 000000 00')), failure('T', 'mtu', 8))
    t.throws(() => decode(table, hex('0500 0500 00 000000')), failure('T', 'up', 4))
  })
  t.test('that reach beyond the end, or are shorter than their header, are refused', async (t) => {
    t.throws(() => decode(table, hex('0900 0300 6c6f0000')), failure('T', undefined, 0))
    t.throws(() => decode(table, hex('0400 0500 0300 0300')), failure('T', undefined, 4))
  })
  t.test('without a description are kept with their flags', async (t) => {
    const wire = hex('0600 6380 0102 0000  0800 0400 dc050000')
    const value = decode(table, wire)
    t.strictSame(value, { mtu: 1500, unknown: [{ type: 0x8063, value: hex('0102') }] })
    t.equal(encode(table, value).toHex(), '08000400dc050000 0600638001020000'.replace(' ', ''))
  })
  t.test('repeat: the last one counts, unless they are many', async (t) => {
    t.strictSame(decode(table, hex('0800 0400 01000000 0800 0400 02000000')), { mtu: 2 })
    t.strictSame(decode(table, hex('0600 0600 6100 0000 0600 0600 6200 0000')), { alt: ['a', 'b'] })
    t.equal(encode(table, { alt: ['a', 'b'] }).toHex(), '06000600610000000600060062000000')
  })
  t.test('of more than 64 KiB are refused', async (t) => {
    t.throws(() => encode(table, { raw: new Uint8Array(65532) }), RangeError)
    t.equal(encode(table, { raw: new Uint8Array(65531) }).length, 65536)
  })
  t.test('keep their meaning when NLA_F_NESTED or NLA_F_NET_BYTEORDER is set', async (t) => {
    t.strictSame(decode(table, hex('0800 04c0 dc050000')), { mtu: 1500 })
  })
})

t.test('nested sets its flag, list counts nothing', async (t) => {
  const codec = attrs('L', { items: [3, nested(list('ITEMS', 1, nested(attrs('ITEM', { n: [1, u32be] }))))] })
  const wire = hex('1c00 0380  0c00 0180 0800 0100 00000007  0c00 0180 0800 0100 00000008')
  const value = { items: [{ n: 7 }, { n: 8 }] }
  t.equal(encode(codec, value).toHex(), wire.toHex())
  t.strictSame(decode(codec, wire), value)
  t.strictSame(decode(codec, hex('1400 0300 0400 0100 0c00 0200 0800 0100 00000008')), {
    items: [{}, { n: 8 }],
  })
  t.throws(() => decode(attrs('X', { l: [1, list('N', 1, u32)] }), hex('0c00 0100 0600 0100 0000 0000')), {
    name: /Error$/,
    codec: 'N',
    attribute: '[0]',
    offset: 8,
  })
})

t.test('keyed chooses by the attribute beside it', async (t) => {
  const codec = attrs('INFO', { kind: [1, chars], data: [2, keyed('kind', { a: u32, b: cstring })] })
  t.strictSame(decode(codec, hex('0500 0100 61 000000 0800 0200 07000000')), { kind: 'a', data: { a: 7 } })
  t.strictSame(
    decode(codec, hex('0800 0200 07000000 0500 0100 61 000000')),
    { kind: 'a', data: { a: 7 } },
    'in any order',
  )
  t.strictSame(decode(codec, hex('0500 0100 7a 000000 0800 0200 07000000')), {
    kind: 'z',
    data: { raw: hex('07000000') },
  })
  t.strictSame(decode(codec, hex('0800 0200 07000000')), { data: { raw: hex('07000000') } })
  for (const kind of ['toString', '__proto__']) {
    const value = { kind, data: { raw: hex('07') } }
    t.strictSame(decode(codec, encode(codec, value)), value, 'no property of Object is a kind')
  }
  t.throws(() => decode(codec, hex('0500 0100 61 000000 0600 0200 0700 0000')), {
    name: /Error$/,
    codec: 'by kind',
    attribute: 'a',
    offset: 12,
  })
  t.equal(
    encode(codec, { kind: 'b', data: { b: 'x' } }).toHex(),
    '050001006100000006000200780000 00'.replace('61', '62').replaceAll(' ', ''),
  )
  t.equal(encode(codec, { data: {} }).toHex(), '04000200')
})

t.test('headed aligns what follows the header, thunk recurses', async (t) => {
  interface Node {
    header: { id: number }
    attrs: { child?: Node | undefined }
  }
  const self = (): Codec<Node> => node
  const node: Codec<Node> = headed(struct('node', { id: u8 }), attrs('N', { child: [1, thunk(self)] }))
  const value = { header: { id: 1 }, attrs: { child: { header: { id: 2 }, attrs: {} } } }
  t.equal(encode(node, value).toHex(), '01000000' + '08000100' + '02000000')
  t.strictSame(decode(node, encode(node, value)), value)
  t.throws(() => decode(node, hex('010000')), failure('node', undefined, 0))
  t.throws(() => decode(node, hex('01000000 07000100 020000')), failure('node', undefined, 8))
})

t.test('offsets count from the buffer that decode was given, also in a view of a larger one', async (t) => {
  const inner = hex('ffff 0800 0400 dc050000').subarray(2)
  t.strictSame(decode(table, inner), { mtu: 1500 })
  t.strictSame(decode(u64, hex('ff 0100000000000000').subarray(1)), 1n)
})
