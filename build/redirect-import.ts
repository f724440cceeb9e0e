/** Makes an ELF executable call another function of libc, by the names in its dynamic symbol table. */

import { Elf, SYMBOL_BYTES } from './elf.ts'

const SHT_DYNSYM = 11

/**
 * The file's calls of `from` go to `to`, a function of the same version of libc (GLIBC_2.2.5, on arm64 2.17).
 * @param spare a symbol that the file exports and no library needs: its name makes room for that of `to`
 */
export function redirectImport(file: Buffer, from: string, to: string, spare: string): void {
  const elf = new Elf(file)
  const symbols = elf.section(SHT_DYNSYM)
  if (symbols === undefined) throw new Error('the ELF file has no dynamic symbols')
  const { offset, size, names } = symbols
  const entryOf = (name: string): number => {
    for (let at = offset; at < offset + size; at += SYMBOL_BYTES) {
      const text = names + elf.u32(at)
      if (file.toString('latin1', text, file.indexOf(0, text)) === name) return at
    }
    throw new Error(`the executable has no dynamic symbol ${name} any more: look at build/bun.ts`)
  }
  if (to.length > spare.length) throw new Error(`${to} has no room in ${spare}`)
  const [imported, given] = [entryOf(from), entryOf(spare)]
  if (file.readUInt16LE(imported + 6) !== 0) throw new Error(`${from} is no import of the executable`)
  const room = elf.u32(given)
  file.write(`${to}\0`, names + room, 'latin1')
  file.writeUInt32LE(room, imported)
}
