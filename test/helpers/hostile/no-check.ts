/**
 * For `node --import`: a gateway that has gone bad. It sends what its kernel gives it without a look at the source,
 * over TLS and over UDP, as a changed executable would.
 */
import { registerHooks } from 'node:module'

const CHECK = /\/gateway\/dataplane\/tunnel\/check\.ts$/
const BEGIN = /export function checkOutgoing\([^)]*\): Verdict \{/

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    if (!CHECK.test(url)) return loaded
    const source = String(loaded.source)
    if (!BEGIN.test(source)) throw new Error(`no checkOutgoing in ${url}`)
    return {
      ...loaded,
      source: source.replace(BEGIN, (line) => `${line}\n  if (end > start) return Verdict.ok`),
    }
  },
})
