/** The table of symbols that the build rewrites: the dynamic linker finds through it what it found before, and nothing else. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Elf } from '../../../build/elf.ts'
import { nodeToPack } from '../../../build/node.ts'
import { fitSymbolFilter } from '../../../build/symbol-filter.ts'

const DT_STRTAB = 5
const DT_STRSZ = 10

/** Asks the dynamic linker for each name; Node is linked to fixed addresses, so two Nodes can be compared. */
const LOOK_UP = `
const { readFileSync } = require('node:fs')
const { DynamicLibrary } = require('node:ffi')
const image = new DynamicLibrary(null)
const found = []
for (const name of readFileSync(0, 'latin1').split('\\n')) {
  try { found.push(name + ' ' + image.getSymbol(name)) } catch {}
}
require('node:fs').writeSync(1, found.join('\\n'))
`

/** @returns `name address` of those that it found */
function lookedUp(node: string, names: readonly string[]): string[] {
  const argv = ['--disable-warning=ExperimentalWarning', '-e', LOOK_UP]
  const options = { input: names.join('\n'), encoding: 'latin1', env: {}, maxBuffer: 1 << 26 } as const
  return execFileSync(node, argv, options).split('\n')
}

t.test('a Node with a filter that fits has the symbols that it had', async (t) => {
  const file = readFileSync(nodeToPack())
  const elf = new Elf(file)
  const strings = elf.table(DT_STRTAB)
  const names = file.toString('latin1', strings, strings + elf.value(DT_STRSZ)).split('\0')
  // Those of libraries are at other addresses in each process.
  const exported = (found: string[]) => found.filter((line) => Number(line.split(' ')[1]) < 2 ** 32)
  const before = exported(lookedUp(nodeToPack(), [...names, 'flatnet_no_such_symbol']))

  t.equal(fitSymbolFilter(file), true)
  const fitted = join(t.testdir(), 'node')
  writeFileSync(fitted, file, { mode: 0o755 })
  t.equal(fitSymbolFilter(file), false, 'a filter that fits stays')

  const after = exported(lookedUp(fitted, [...names, 'flatnet_no_such_symbol']))
  t.ok(before.length > 40_000, `${before.length} symbols`)
  t.strictSame(after, before)
})

t.test('what is no executable of Linux is refused', async (t) => {
  t.throws(() => fitSymbolFilter(Buffer.alloc(64)), /not a 64-bit little-endian ELF file/)
})
