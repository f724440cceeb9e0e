/** `node bin/code-cache.ts <bundle> <out> <cache>`: wraps a bundle as packed.ts runs it, and writes V8's compiled form of all of it. Run by the Node that is packed. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'
import { wrapped } from './packed.ts'

const [bundle = '', out = '', cache = ''] = process.argv.slice(2)
const source = wrapped(readFileSync(bundle, 'utf8'))
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
if (/[^\x00-\x7f]/.test(source)) throw new Error(`${bundle} is not ASCII`)
// V8's own cache holds what ran so far, which is nothing: each function would be compiled at its first call.
setFlagsFromString('--no-lazy')
const script = new Script(source)
// The flags are part of the cache's key.
setFlagsFromString('--lazy')
writeFileSync(out, source)
writeFileSync(cache, script.createCachedData())
