/** A 64-bit ELF file: by its program headers, as the dynamic linker reads it, and the symbols that a debugger finds. */

/** include/uapi/linux/elf.h. */
const PT_LOAD = 1
const PT_DYNAMIC = 2
const DT_NULL = 0
const SHT_SYMTAB = 2
/** Of one symbol in a table. */
export const SYMBOL_BYTES = 24

/** Offsets in the file, sizes in bytes. */
interface Section {
  readonly offset: number
  readonly size: number
  /** For symbols, where the table of their names begins. */
  readonly names: number
}

export class Elf {
  readonly file: Buffer
  readonly #loads: { address: number; offset: number; size: number }[] = []
  readonly #dynamic = new Map<number, number>()

  constructor(file: Buffer) {
    this.file = file
    const isElf64 = file.readUInt32BE(0) === 0x7f454c46 && file[4] === 2 && file[5] === 1
    if (!isElf64) throw new Error('not a 64-bit little-endian ELF file')
    const [at, size, count] = [this.u64(32), file.readUInt16LE(54), file.readUInt16LE(56)]
    for (let i = 0; i < count; i++) this.#header(at + i * size)
  }

  #header(at: number): void {
    const type = this.u32(at)
    const [offset, address, size] = [this.u64(at + 8), this.u64(at + 16), this.u64(at + 32)]
    if (type === PT_LOAD) this.#loads.push({ address, offset, size })
    if (type !== PT_DYNAMIC) return
    for (let entry = offset; this.u64(entry) !== DT_NULL; entry += 16)
      this.#dynamic.set(this.u64(entry), this.u64(entry + 8))
  }

  u32(at: number): number {
    return this.file.readUInt32LE(at)
  }

  u64(at: number): number {
    return Number(this.file.readBigUInt64LE(at))
  }

  has(tag: number): boolean {
    return this.#dynamic.has(tag)
  }

  value(tag: number): number {
    const value = this.#dynamic.get(tag)
    if (value === undefined) throw new Error(`no dynamic entry ${tag}`)
    return value
  }

  /** Where in the file the table lies that a dynamic entry names. */
  table(tag: number): number {
    return this.#offsetOf(this.value(tag))
  }

  /** Where in the file the content of an object lies whose name, in .symtab, begins with `prefix`; undefined when it is not there. */
  object(prefix: string): { at: number; size: number } | undefined {
    const symbols = this.section(SHT_SYMTAB)
    if (symbols === undefined) return undefined
    const { offset, size, names } = symbols
    // The file goes on after its names, but what is found there is no symbol's.
    const name = this.file.indexOf(`\0${prefix}`, names) + 1 - names
    for (let symbol = offset; symbol < offset + size; symbol += SYMBOL_BYTES)
      if (this.u32(symbol) === name)
        return { at: this.#offsetOf(this.u64(symbol + 8)), size: this.u64(symbol + 16) }
    return undefined
  }

  /** The first section of a type. */
  section(type: number): Section | undefined {
    const [at, bytes, count] = [this.u64(40), this.file.readUInt16LE(58), this.file.readUInt16LE(60)]
    for (let header = at; header < at + count * bytes; header += bytes) {
      if (this.u32(header + 4) !== type) continue
      const names = this.u64(at + this.u32(header + 40) * bytes + 24)
      return { offset: this.u64(header + 24), size: this.u64(header + 32), names }
    }
    return undefined
  }

  #offsetOf(address: number): number {
    const load = this.#loads.find((l) => address >= l.address && address < l.address + l.size)
    if (load === undefined) throw new Error(`address 0x${address.toString(16)} is not in the file`)
    return address - load.address + load.offset
  }
}
