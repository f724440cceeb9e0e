/** Combinators that describe kernel structs as data; the TypeScript type follows from the description. */

import { LITTLE_ENDIAN } from './endian.ts'
import { DecodeError } from './errors.ts'
import { Writer } from './writer.ts'

/** A description of bytes. Only `attrs` reads the optional members. */
export interface Codec<T> {
  readonly name: string
  /** Length in bytes; undefined: it varies. */
  readonly size: number | undefined
  encode(value: T, out: Writer): void
  /** Decodes `bytes[start, end)` and nothing outside it. Results may share memory with `bytes`. */
  decode(bytes: Uint8Array, start: number, end: number): T
  /** OR-ed into the attribute type on encode, e.g. NLA_F_NESTED. */
  readonly typeFlags?: number
  /** The attribute may occur more than once; the value is an array. */
  readonly many?: true
  /** The sibling attribute whose value selects the codec, and the codecs to select from; see `keyed`. */
  readonly by?: { readonly key: string; readonly table: Readonly<Record<string, AnyCodec>> }
}

/** The value type of a codec. */
export type Infer<C> = C extends Codec<infer T> ? T : never

// biome-ignore lint/suspicious/noExplicitAny: any codec fits a table; the table's own type keeps the exact ones
export type AnyCodec = Codec<any>

/** @throws {RangeError} a value that its field cannot hold */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const out = new Writer()
  codec.encode(value, out)
  return out.finish()
}

/** @throws {DecodeError} naming codec, attribute and offset */
export const decode = <T>(codec: Codec<T>, bytes: Uint8Array): T => codec.decode(bytes, 0, bytes.byteLength)

function expectSize(name: string, size: number, start: number, end: number): void {
  if (end - start !== size)
    throw new DecodeError(name, start, `${end - start} bytes where ${size} are needed`)
}

function uint(name: string, size: 1 | 2 | 4, little: boolean): Codec<number> {
  const limit = 2 ** (8 * size)
  return {
    name,
    size,
    encode(value, out) {
      if (!(Number.isInteger(value) && value >= 0 && value < limit)) throw new RangeError(`${name}: ${value}`)
      const at = out.reserve(size)
      for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256))
        out.bytes[little ? at + i : at + size - 1 - i] = rest & 255
    },
    decode(bytes, start, end) {
      expectSize(name, size, start, end)
      // No loop: a link has 60 of these, and short programs decode them before the engine compiles anything.
      const last = end - 1
      if (size === 1) return bytes[start] as number
      if (size === 2)
        return little
          ? (bytes[start] as number) + (bytes[last] as number) * 256
          : (bytes[start] as number) * 256 + (bytes[last] as number)
      const middle =
        ((bytes[little ? last - 1 : start + 1] as number) << 16) |
        ((bytes[little ? start + 1 : last - 1] as number) << 8)
      return (
        (bytes[little ? last : start] as number) * 0x1000000 +
        (middle | (bytes[little ? start : last] as number))
      )
    },
  }
}

/** Unsigned integers in the host's byte order, as in rtnetlink. */
export const u8 = uint('u8', 1, LITTLE_ENDIAN)
export const u16 = uint('u16', 2, LITTLE_ENDIAN)
export const u32 = uint('u32', 4, LITTLE_ENDIAN)
/** Unsigned integers in network order, as in nfnetlink. */
export const u16be = uint('u16be', 2, false)
export const u32be = uint('u32be', 4, false)

export const i32: Codec<number> = {
  name: 'i32',
  size: 4,
  encode(value, out) {
    if ((value | 0) !== value) throw new RangeError(`i32: ${value}`)
    u32.encode(value >>> 0, out)
  },
  decode: (bytes, start, end) => u32.decode(bytes, start, end) | 0,
}

function uint64(name: string, little: boolean): Codec<bigint> {
  return {
    name,
    size: 8,
    encode(value, out) {
      if (BigInt.asUintN(64, value) !== value) throw new RangeError(`${name}: ${value}`)
      const at = out.reserve(8)
      new DataView(out.bytes.buffer).setBigUint64(at, value, little)
    },
    decode(bytes, start, end) {
      expectSize(name, 8, start, end)
      return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(start, little)
    },
  }
}
export const u64 = uint64('u64', LITTLE_ENDIAN)
export const u64be = uint64('u64be', false)

/** All remaining bytes as they are: addresses, and structs without a codec. */
export const bytes: Codec<Uint8Array> = {
  name: 'bytes',
  size: undefined,
  encode: (value, out) => out.append(value),
  decode: (buffer, start, end) => buffer.subarray(start, end),
}

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder()

/** A string with one NUL after it. Decoding stops at the first NUL or at the end. */
export const cstring: Codec<string> = {
  name: 'cstring',
  size: undefined,
  encode(value, out) {
    chars.encode(value, out)
    out.reserve(1)
  },
  decode(buffer, start, end) {
    const nul = buffer.indexOf(0, start)
    return utf8Decoder.decode(buffer.subarray(start, nul >= 0 && nul < end ? nul : end))
  },
}

/** A string that is sent without NUL, because an empty one has a meaning. The kernel adds a NUL, where decode ends. */
export const chars: Codec<string> = {
  name: 'chars',
  size: undefined,
  encode(value, out) {
    if (value.includes('\0')) throw new RangeError(`NUL in ${JSON.stringify(value)}`)
    out.append(utf8Encoder.encode(value))
  },
  decode: cstring.decode,
}

/** An attribute without payload; `true` when present. */
export const flag: Codec<true> = {
  name: 'flag',
  size: 0,
  encode() {},
  decode(_buffer, start, end) {
    expectSize('flag', 0, start, end)
    return true
  },
}

/** Unused bytes of a C struct: not part of the struct's value, and zero on encode. */
export const pad = (size: number): Codec<undefined> => ({
  name: 'pad',
  size,
  encode: (_value, out) => void out.reserve(size),
  decode: () => undefined,
})

export type StructSpecs = Readonly<Record<string, AnyCodec>>
export type StructValues<S extends StructSpecs> = {
  [K in keyof S as Infer<S[K]> extends undefined ? never : K]: Infer<S[K]>
}

/** A C struct: fields of fixed size in this order, without implicit padding (declare it with `pad`). */
export function struct<const S extends StructSpecs>(name: string, specs: S): Codec<StructValues<S>> {
  const fields = Object.entries(specs)
  let size = 0
  for (const [field, codec] of fields) {
    if (codec.size === undefined) throw new TypeError(`${name}.${field}: a struct field needs a fixed size`)
    size += codec.size
  }
  return {
    name,
    size,
    encode(value, out) {
      for (const [field, codec] of fields) codec.encode((value as Record<string, unknown>)[field], out)
    },
    decode(buffer, start, end) {
      expectSize(name, size, start, end)
      const value: Record<string, unknown> = {}
      let at = start
      for (const [field, codec] of fields) {
        const next = at + (codec.size ?? 0)
        const read: unknown = codec.decode(buffer, at, next)
        if (read !== undefined) value[field] = read
        at = next
      }
      return value as StructValues<S>
    },
  }
}

/** A message: its fixed header, then its attributes. */
export function headed<H, A>(header: Codec<H>, attributes: Codec<A>): Codec<{ header: H; attrs: A }> {
  const size = header.size ?? 0
  const body = (size + 3) & ~3
  return {
    name: header.name,
    size: undefined,
    encode(value, out) {
      header.encode(value.header, out)
      out.align()
      attributes.encode(value.attrs, out)
    },
    decode(buffer, start, end) {
      if (end - start < body)
        throw new DecodeError(header.name, start, `${end - start} bytes where ${body} are needed`)
      return {
        header: header.decode(buffer, start, start + size),
        attrs: attributes.decode(buffer, start + body, end),
      }
    },
  }
}

/** For recursion: calls `get` when the codec is first used. */
export const thunk = <T>(get: () => Codec<T>): Codec<T> => ({
  name: 'thunk',
  size: undefined,
  encode: (value, out) => get().encode(value, out),
  decode: (buffer, start, end) => get().decode(buffer, start, end),
})
