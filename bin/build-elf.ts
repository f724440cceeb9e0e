/** Makes an ELF executable import another function of libc under one of its calls, by the names in its dynamic symbol table. */

const SHT_DYNSYM = 11
/** Sizes in ELF64: a section header, a symbol. */
const SHDR = 64
const SYM = 24

interface Section {
  readonly offset: number
  readonly size: number
  /** Index of the section with the names. */
  readonly link: number
}

function sections(file: Buffer): Section[] {
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) {
    throw new Error('this is no 64-bit little-endian ELF file')
  }
  const table = Number(file.readBigUInt64LE(0x28))
  return Array.from({ length: file.readUInt16LE(0x3c) }, (_, i) => {
    const at = table + i * SHDR
    return {
      offset: Number(file.readBigUInt64LE(at + 0x18)),
      size: Number(file.readBigUInt64LE(at + 0x20)),
      link: file.readUInt32LE(at + 0x28),
    }
  })
}

function dynamicSymbols(file: Buffer): { symbols: Section; names: Section } {
  const all = sections(file)
  const table = Number(file.readBigUInt64LE(0x28))
  const index = all.findIndex((_, i) => file.readUInt32LE(table + i * SHDR + 4) === SHT_DYNSYM)
  const symbols = all[index]
  const names = all[symbols?.link ?? -1]
  if (symbols === undefined || names === undefined) throw new Error('the ELF file has no dynamic symbols')
  return { symbols, names }
}

/**
 * The file's calls of `from` go to `to`, a function of the same version of libc (GLIBC_2.2.5, on arm64 2.17).
 * @param spare a symbol that the file exports and nobody needs: its name makes room for that of `to`
 */
export function redirectImport(file: Buffer, from: string, to: string, spare: string): void {
  const { symbols, names } = dynamicSymbols(file)
  const entryOf = (name: string): number => {
    for (let at = symbols.offset; at < symbols.offset + symbols.size; at += SYM) {
      const text = names.offset + file.readUInt32LE(at)
      if (file.toString('latin1', text, file.indexOf(0, text)) === name) return at
    }
    throw new Error(`the executable has no dynamic symbol ${name} any more: look at bin/build-bun.ts`)
  }
  if (to.length > spare.length) throw new Error(`${to} has no room in ${spare}`)
  const [imported, given] = [entryOf(from), entryOf(spare)]
  if (file.readUInt16LE(imported + 6) !== 0) throw new Error(`${from} is no import of the executable`)
  const room = file.readUInt32LE(given)
  file.write(`${to}\0`, names.offset + room, 'latin1')
  file.writeUInt32LE(room, imported)
}
