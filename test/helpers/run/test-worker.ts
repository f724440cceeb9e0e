/**
 * Runs the test files that stdin names, one after another in this process: each is a subtest, with a `t` of its own for
 * `import t from 'tap'`. Started by pool.ts.
 */
import { registerHooks } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import root, { type Test } from 'tap'
import { forbidSockets, SUITE } from './no-sockets.ts'

if (process.env[SUITE] === 'unit') forbidSockets()

const OWN = 'tap-of:'
/** Less than pool.ts waits before it ends the process, so that tap says which test hung. */
const FILE_MS = 100_000
const SETTLE_MS = 3_000

/** The `t` of each file, by the file's URL; in the global object, as a module made of text finds nothing else. */
const own = new Map<string, Test>()
Object.assign(globalThis, { [Symbol.for(OWN)]: own })

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL } = context
    if (specifier !== 'tap' || parentURL === undefined || !own.has(parentURL)) return next(specifier, context)
    return { url: `${OWN}${parentURL}`, format: 'module', shortCircuit: true }
  },
  load(url, context, next) {
    if (!url.startsWith(OWN)) return next(url, context)
    const test = `globalThis[Symbol.for('${OWN}')].get(${JSON.stringify(url.slice(OWN.length))})`
    return { source: `export default ${test}`, format: 'module', shortCircuit: true }
  },
})

/** Counts open handles and running timers by kind. Pending requests end by themselves. */
function open(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo())
    if (/Wrap$|^Timeout$/.test(kind) && !/^(Connect|SimpleShutdown|Write)Wrap$/.test(kind))
      counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

/** Waits until nothing is open beyond `before`. @returns what stays open */
async function leftovers(before: ReadonlyMap<string, number>): Promise<string[]> {
  for (let waited = 0; ; waited += 5) {
    const more = [...open()].filter(([kind, count]) => count > (before.get(kind) ?? 0)).map(([kind]) => kind)
    if (more.length === 0 || waited >= SETTLE_MS) return more
    await sleep(5)
  }
}

for await (const file of createInterface({ input: process.stdin })) {
  const url = String(pathToFileURL(resolve(file)))
  const before = open()
  await root.test(file, { timeout: FILE_MS }, async (t) => {
    own.set(url, t)
    await import(url)
  })
  const left = await leftovers(before)
  // These would disturb the next file; run alone, this file would not have ended.
  if (left.length > 0) await root.test(`${file}, after it`, async (t) => t.fail(`open: ${left.join(', ')}`))
  process.stdout.write(`# ended ${file}\n`)
}

// Handles that a file left open, as reported above, must not keep the process alive.
root.end()
process.exit()
