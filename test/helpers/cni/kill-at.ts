/** Ends code as kill -9 would at any change to the file system, by refusing that change and all later ones. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const CHANGES = [
  'openSync',
  'writeFileSync',
  'writeSync',
  'fsyncSync',
  'renameSync',
  'symlinkSync',
  'linkSync',
  'unlinkSync',
  'mkdirSync',
  'copyFileSync',
] as const

class Killed extends Error {
  override readonly name = 'Killed'
}

/**
 * @param n the first change that does not happen, from 1; a write stops half-way
 * @returns false when `fn` made fewer changes and so ran to its end
 */
export function killAt(n: number, fn: () => unknown): boolean {
  const originals = Object.fromEntries(CHANGES.map((name) => [name, fs[name]]))
  let changes = 0
  for (const name of CHANGES) {
    const original = fs[name] as (...args: unknown[]) => unknown
    Object.assign(fs, {
      [name]: (...args: unknown[]) => {
        if (++changes < n) return original(...args)
        if (changes === n && name === 'writeFileSync') original(args[0], String(args[1]).slice(0, 40))
        if (changes === n && name === 'writeSync') {
          const bytes = args[1] as Uint8Array
          original(args[0], bytes.subarray(0, bytes.byteLength / 2))
        }
        throw new Killed(`${name} ${String(args[0])}`)
      },
    })
  }
  syncBuiltinESMExports()
  try {
    fn()
  } catch (err) {
    if (!(err instanceof Killed)) throw err
  } finally {
    Object.assign(fs, originals)
    syncBuiltinESMExports()
  }
  return changes >= n
}
