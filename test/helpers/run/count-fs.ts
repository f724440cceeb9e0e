/** Records which files code opens, reads or lists by node:fs. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'

const WATCHED = ['openSync', 'readFileSync', 'readdirSync', 'readlinkSync', 'statSync', 'lstatSync'] as const

/** @returns `<function> <name>` per call, e.g. `readFileSync 10.1.0.0.json`, temp files as `*.tmp` */
export function fileUses(fn: () => unknown): string[] {
  const originals = Object.fromEntries(WATCHED.map((name) => [name, fs[name]]))
  const uses: string[] = []
  for (const name of WATCHED) {
    const original = fs[name] as (...args: unknown[]) => unknown
    Object.assign(fs, {
      [name]: (...args: unknown[]) => {
        // node:fs calls these itself by the same object, with paths and with descriptors.
        if (typeof args[0] === 'string')
          uses.push(`${name} ${basename(args[0]).replace(/^\..+\.tmp$/, '*.tmp')}`)
        return original(...args)
      },
    })
  }
  syncBuiltinESMExports()
  try {
    fn()
  } finally {
    Object.assign(fs, originals)
    syncBuiltinESMExports()
  }
  return uses
}
