/**
 * Combinators for netlink attributes (`struct nlattr`): tables, lists, repeated and selected values.
 *
 * @see include/uapi/linux/netlink.h
 */

import { type AnyCodec, type Codec, type Infer, u16 } from './codec.ts'
import { DecodeError } from './errors.ts'
import type { Writer } from './writer.ts'

const NLA_F_NESTED = 0x8000
const NLA_TYPE_MASK = 0x3fff
const NLA_HDRLEN = 4

/** An attribute that the table does not describe: decode keeps it, encode writes it after the known ones. */
export interface RawAttr {
  /** Type, with its NLA_F_* bits. */
  readonly type: number
  readonly value: Uint8Array
}

export type AttrSpecs = Readonly<Record<string, readonly [type: number, codec: AnyCodec]>>
export type AttrValues<S extends AttrSpecs> = {
  -readonly [K in keyof S]?: Infer<S[K][1]> | undefined
} & { unknown?: RawAttr[] | undefined }

/** Calls `visit` for each attribute in `[start, end)` with the bounds of its payload. Trusts no length. */
function walk(
  name: string,
  buffer: Uint8Array,
  start: number,
  end: number,
  visit: (type: number, from: number, to: number) => void,
): void {
  let at = start
  while (end - at >= NLA_HDRLEN) {
    const length = u16.decode(buffer, at, at + 2)
    const type = u16.decode(buffer, at + 2, at + 4)
    if (length < NLA_HDRLEN || length > end - at)
      throw new DecodeError(name, at, `attribute ${type & NLA_TYPE_MASK} of ${length} bytes in ${end - at}`)
    visit(type, at + NLA_HDRLEN, at + length)
    at = Math.min(at + ((length + 3) & ~3), end)
  }
  for (; at < end; at++)
    if (buffer[at] !== 0)
      throw new DecodeError(name, at, 'bytes after the last attribute that are not padding')
}

/** Writes one attribute: header, the payload that `body` writes, padding. */
function put(out: Writer, type: number, body: () => void): void {
  const at = out.reserve(NLA_HDRLEN)
  body()
  const length = out.length - at
  if (length > 0xffff) throw new RangeError(`attribute ${type & NLA_TYPE_MASK} of ${length} bytes; 65535 fit`)
  const header = new Uint16Array([length, type])
  out.bytes.set(new Uint8Array(header.buffer), at)
  out.align()
}

function read<T>(
  table: string,
  attribute: string,
  codec: Codec<T>,
  buffer: Uint8Array,
  from: number,
  to: number,
): T {
  if (codec.size !== undefined && codec.size !== to - from)
    throw new DecodeError(
      table,
      from,
      `${to - from} bytes where ${codec.name} needs ${codec.size}`,
      attribute,
    )
  return codec.decode(buffer, from, to)
}

type Entries = readonly (readonly [field: string, spec: AttrSpecs[string]])[]

/** Built when a table is first decoded: short programs only encode most tables. */
function indexOf(entries: Entries): Map<number, { field: string; codec: AnyCodec }> {
  const byType = new Map<number, { field: string; codec: AnyCodec }>()
  for (const [field, [type, codec]] of entries) byType.set(type, { field, codec })
  return byType
}

/**
 * A table of attributes. Encodes in declaration order, so declare in the kernel's order; undefined values are left out,
 * unknown attributes come last. A repeated attribute keeps its last value, as in the kernel, unless it is `many`.
 */
export function attrs<const S extends AttrSpecs>(name: string, specs: S): Codec<AttrValues<S>> {
  const entries = Object.entries(specs)
  let byType: Map<number, { field: string; codec: AnyCodec }> | undefined
  return {
    name,
    size: undefined,
    encode(value, out) {
      const given = value as Record<string, unknown>
      for (const [field, [type, codec]] of entries) {
        const one = given[field]
        if (one === undefined) continue
        for (const item of codec.many ? (one as unknown[]) : [one])
          put(out, type | (codec.typeFlags ?? 0), () => codec.encode(item, out))
      }
      for (const raw of value.unknown ?? []) put(out, raw.type, () => out.append(raw.value))
    },
    decode(buffer, start, end) {
      const value: Record<string, unknown> = {}
      const later: (() => void)[] = []
      const unknown: RawAttr[] = []
      byType ??= indexOf(entries)
      const known = byType
      walk(name, buffer, start, end, (type, from, to) => {
        const spec = known.get(type & NLA_TYPE_MASK)
        if (spec === undefined) {
          unknown.push({ type, value: buffer.subarray(from, to) })
          return
        }
        const { field, codec } = spec
        if (codec.many) {
          const items = (value[field] as unknown[] | undefined) ?? []
          value[field] = items
          items.push(read(name, field, codec, buffer, from, to))
        } else if (codec.by === undefined) value[field] = read(name, field, codec, buffer, from, to)
        else
          later.push(() => {
            value[field] = select(codec, value, buffer, from, to)
          })
      })
      for (const run of later) run()
      if (unknown.length > 0) value['unknown'] = unknown
      return value as AttrValues<S>
    },
  }
}

/** An attribute that holds attributes and has NLA_F_NESTED set, as nfnetlink requires. */
export const nested = <T>(codec: Codec<T>): Codec<T> => ({ ...codec, typeFlags: NLA_F_NESTED })

/** In a table: an attribute that may occur several times. The value is an array. */
export const many = <T>(codec: Codec<T>): Codec<T[]> => ({ ...codec, many: true }) as unknown as Codec<T[]>

/** A payload of attributes of one kind, e.g. NFTA_LIST_ELEM. Decode ignores their types: some senders count in them. */
export const list = <T>(name: string, type: number, codec: Codec<T>): Codec<T[]> => ({
  name,
  size: undefined,
  encode(items, out) {
    for (const item of items) put(out, type | (codec.typeFlags ?? 0), () => codec.encode(item, out))
  },
  decode(buffer, start, end) {
    const items: T[] = []
    walk(name, buffer, start, end, (_type, from, to) => {
      items.push(read(name, `[${items.length}]`, codec, buffer, from, to))
    })
    return items
  },
})

/** `{ bridge: {…} }`: one member, named by the key; `raw` when the table does not know the key. */
export type KeyedValues<T extends Readonly<Record<string, AnyCodec>>> = {
  [K in keyof T]?: Infer<T[K]> | undefined
} & { raw?: Uint8Array | undefined }

/**
 * In a table: an attribute whose codec depends on the value of its sibling `key`, in any order. IFLA_INFO_DATA, for
 * example, depends on IFLA_INFO_KIND.
 */
export function keyed<const T extends Readonly<Record<string, AnyCodec>>>(
  key: string,
  table: T,
): Codec<KeyedValues<T>> {
  return {
    name: `by ${key}`,
    size: undefined,
    by: { key, table },
    encode(value, out) {
      const [[kind, inner] = []] = Object.entries(value)
      if (kind === undefined) return
      if (kind === 'raw') out.append(inner as Uint8Array)
      else table[kind]?.encode(inner, out)
    },
    decode: (buffer, start, end) => ({ raw: buffer.subarray(start, end) }) as KeyedValues<T>,
  }
}

/** Decodes a `keyed` attribute by the value of its sibling. */
function select(
  codec: AnyCodec,
  siblings: Record<string, unknown>,
  buffer: Uint8Array,
  from: number,
  to: number,
): unknown {
  const { key = '', table = {} } = codec.by ?? {}
  const kind = siblings[key]
  const chosen = typeof kind === 'string' && Object.hasOwn(table, kind) ? table[kind] : undefined
  return chosen === undefined
    ? { raw: buffer.subarray(from, to) }
    : { [String(kind)]: read(codec.name, String(kind), chosen, buffer, from, to) }
}
