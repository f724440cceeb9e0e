/**
 * `node build/code-cache.ts <bundle> <out> <cache> [--rehearse]`: makes V8's code cache of a bundle.
 *
 * Of all of it, or of what ADD and DEL run. It wraps the bundle as packed.ts runs it; the Node that is packed runs
 * this.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'
import { rehearse, uplink } from './rehearsal.ts'
import { wrapped } from './stand-ins/packed.ts'

const [bundle = '', out = '', cache = '', how] = process.argv.slice(2)
const source = wrapped(readFileSync(bundle, 'utf8'))
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
if (/[^\x00-\x7f]/.test(source)) throw new Error(`${bundle} is not ASCII`)

/** By default V8 caches only functions that have run, here none, so each would be compiled at its first call. */
function ofAll(): Buffer {
  setFlagsFromString('--no-lazy')
  const script = new Script(source)
  // The flags are part of the cache's key.
  setFlagsFromString('--lazy')
  return script.createCachedData()
}

async function ofWhatRuns(): Promise<Buffer> {
  if (readFileSync('/proc/self/net/route', 'utf8').trim().split('\n').length > 1)
    throw new Error(
      'this namespace has routes: run it as `unshare --map-root-user --net`, as build/build.ts does',
    )
  uplink()
  const dir = mkdtempSync(join(tmpdir(), 'flatnet-build-'))
  try {
    // The first ADD of a host makes bridge and rules, by functions that later ones do without.
    await rehearsed(new Script(source, { filename: 'first' }), dir)
    return (await rehearsed(new Script(source), dir)).createCachedData()
  } finally {
    rmSync(dir, { recursive: true })
  }
}

async function rehearsed(script: Script, dir: string): Promise<Script> {
  const module = { exports: {} }
  script.runInThisContext()(module.exports, process.getBuiltinModule, module)
  await rehearse(module.exports as typeof import('./verbs.ts'), dir)
  return script
}

writeFileSync(out, source)
writeFileSync(cache, how === '--rehearse' ? await ofWhatRuns() : ofAll())
