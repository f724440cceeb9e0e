/** Preloaded with `--import`: writes the URL of every module that the process loads to descriptor 3, one per line. */
import { writeSync } from 'node:fs'
import { registerHooks } from 'node:module'

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context)
    writeSync(3, `${resolved.url}\n`)
    return resolved
  },
})
