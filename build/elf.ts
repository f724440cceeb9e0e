/** Reads a 64-bit ELF file by its section headers: where the dynamic symbols and their names lie. */

/** Size of one `Elf64_Sym`. include/uapi/linux/elf.h */
export const SYMBOL_BYTES = 24

/** Offsets in the file, sizes in bytes. */
interface Section {
  readonly offset: number
  readonly size: number
  /** For symbols, where the table of their names begins. */
  readonly names: number
}

export class Elf {
  readonly #file: Buffer

  constructor(file: Buffer) {
    this.#file = file
    const isElf64 = file.readUInt32BE(0) === 0x7f454c46 && file[4] === 2 && file[5] === 1
    if (!isElf64) throw new Error('not a 64-bit little-endian ELF file')
  }

  u32(at: number): number {
    return this.#file.readUInt32LE(at)
  }

  #u64(at: number): number {
    return Number(this.#file.readBigUInt64LE(at))
  }

  /** The first section of a type. */
  section(type: number): Section | undefined {
    const [at, bytes, count] = [this.#u64(40), this.#file.readUInt16LE(58), this.#file.readUInt16LE(60)]
    for (let header = at; header < at + count * bytes; header += bytes) {
      if (this.u32(header + 4) !== type) continue
      const names = this.#u64(at + this.u32(header + 40) * bytes + 24)
      return { offset: this.#u64(header + 24), size: this.#u64(header + 32), names }
    }
    return undefined
  }
}
