/**
 * The table by which the dynamic linker finds what an executable exports. Node's has 46,000 symbols behind a Bloom filter of 4 KB,
 * in which every bit is set, so each of the 3,500 look-ups of a start, most of them libstdc++'s, walks a chain in vain.
 */
import { Elf, SYMBOL_BYTES } from './elf.ts'

/** include/uapi/linux/elf.h, elf.h of glibc. */
const DT_PLTRELSZ = 2
const DT_HASH = 4
const DT_STRTAB = 5
const DT_SYMTAB = 6
const DT_RELA = 7
const DT_RELASZ = 8
const DT_JMPREL = 23
const DT_GNU_HASH = 0x6ffffef5
const DT_VERSYM = 0x6ffffff0
const RELA_BYTES = 24
const HEADER_BYTES = 16
/** About 3 of 100 names that are not there pass a filter of this many bits for each symbol. */
const FILTER_BITS = 12

/** DT_GNU_HASH. */
interface HashTable {
  readonly at: number
  readonly bytes: number
  readonly filterWords: number
  /** The symbols from here to `end` are in the table, in the order of their buckets. */
  readonly first: number
  readonly end: number
}

function hashTable(elf: Elf): HashTable {
  const at = elf.table(DT_GNU_HASH)
  const [buckets, first, filterWords] = [elf.u32(at), elf.u32(at + 4), elf.u32(at + 8)]
  const bucketsAt = at + HEADER_BYTES + filterWords * 8
  const chainAt = bucketsAt + buckets * 4
  let last = 0
  for (let i = 0; i < buckets; i++) last = Math.max(last, elf.u32(bucketsAt + i * 4))
  // The last of a chain is odd.
  while (last !== 0 && elf.u32(chainAt + (last - first) * 4) % 2 === 0) last++
  const end = Math.max(last + 1, first)
  return { at, bytes: chainAt + (end - first) * 4 - at, filterWords, first, end }
}

/** As dl_new_hash of glibc: DJB, 32 bits. */
function hashOf(file: Buffer, name: number): number {
  let hash = 5381
  for (let at = name; file[at] !== 0; at++) hash = (Math.imul(hash, 33) + (file[at] ?? 0)) >>> 0
  return hash
}

/**
 * Gives the table a filter that fits, in the place that it has, with fewer buckets. No symbol is added, taken away or
 * changed, but they have another order.
 * @returns false when the filter fits already
 * @throws {Error} the file is made otherwise than Node's
 */
export function fitSymbolFilter(file: Buffer): boolean {
  const elf = new Elf(file)
  if (elf.has(DT_HASH)) throw new Error('it has a second table of symbols (DT_HASH)')
  const table = hashTable(elf)
  const count = table.end - table.first
  const words = 2 ** Math.floor(Math.log2((count * FILTER_BITS) / 64))
  const buckets = Math.floor((table.bytes - HEADER_BYTES - words * 8 - count * 4) / 4)
  if (count === 0 || words <= table.filterWords) return false
  if (buckets < count / 8) throw new Error('its table of symbols has no room for a larger filter')

  const hashes = hashesOf(elf, table)
  const hash = (i: number): number => hashes[i] ?? 0
  /** By new place, which symbol of the old order. */
  const order = Array.from({ length: count }, (_, i) => i).sort(
    (a, b) => (hash(a) % buckets) - (hash(b) % buckets) || a - b,
  )
  reorder(file, elf.table(DT_SYMTAB) + table.first * SYMBOL_BYTES, SYMBOL_BYTES, order)
  reorder(file, elf.table(DT_VERSYM) + table.first * 2, 2, order)
  renumber(elf, table, order)
  writeTable(file, table, { words, buckets }, order.map(hash))
  return true
}

function hashesOf(elf: Elf, { first, end }: HashTable): Uint32Array {
  const [strings, symbols] = [elf.table(DT_STRTAB), elf.table(DT_SYMTAB)]
  const hashes = new Uint32Array(end - first)
  for (let i = 0; i < hashes.length; i++)
    hashes[i] = hashOf(elf.file, strings + elf.u32(symbols + (first + i) * SYMBOL_BYTES))
  return hashes
}

function reorder(file: Buffer, at: number, size: number, order: readonly number[]): void {
  const old = Buffer.from(file.subarray(at, at + order.length * size))
  order.forEach((from, to) => {
    old.copy(file, at + to * size, from * size, (from + 1) * size)
  })
}

/** Relocations name symbols by their place. */
function renumber(elf: Elf, { first, end }: HashTable, order: readonly number[]): void {
  const places = new Uint32Array(order.length)
  order.forEach((from, to) => {
    places[from] = first + to
  })
  for (const [tag, sizeTag] of [
    [DT_RELA, DT_RELASZ],
    [DT_JMPREL, DT_PLTRELSZ],
  ] as const) {
    const at = elf.table(tag)
    // r_info is at 8, and its upper half is the symbol.
    for (let info = at + 8; info < at + elf.value(sizeTag); info += RELA_BYTES) {
      const symbol = elf.u32(info + 4)
      if (symbol >= first && symbol < end) elf.file.writeUInt32LE(places[symbol - first] ?? 0, info + 4)
    }
  }
}

function writeTable(
  file: Buffer,
  { at, bytes, first }: HashTable,
  { words, buckets }: { words: number; buckets: number },
  hashes: readonly number[],
): void {
  const shift = Math.log2(words) + 6
  file.fill(0, at, at + bytes)
  for (const [i, field] of [buckets, first, words, shift].entries()) file.writeUInt32LE(field, at + i * 4)
  const filterAt = at + HEADER_BYTES
  const bucketsAt = filterAt + words * 8
  const chainAt = bucketsAt + buckets * 4
  hashes.forEach((hash, i) => {
    const word = filterAt + (Math.floor(hash / 64) % words) * 8
    for (const bit of [hash % 64, (hash >>> shift) % 64]) {
      const byte = word + Math.floor(bit / 8)
      file.writeUInt8(file.readUInt8(byte) | (1 << (bit % 8)), byte)
    }
    const bucket = hash % buckets
    if (i === 0 || (hashes[i - 1] ?? 0) % buckets !== bucket)
      file.writeUInt32LE(first + i, bucketsAt + bucket * 4)
    const isLast = i === hashes.length - 1 || (hashes[i + 1] ?? 0) % buckets !== bucket
    file.writeUInt32LE(((hash & ~1) | (isLast ? 1 : 0)) >>> 0, chainAt + i * 4)
  })
}
