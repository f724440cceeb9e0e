/** The CNI entry point: environment and stdin in, one JSON document on stdout, an exit code out. Loads only the verb asked for. */

import { readSync, writeSync } from 'node:fs'
import { toCniError } from '../core/errors.ts'
import { mark } from '../core/trace.ts'
import type { Context } from './context.ts'
import { type Env, readEnv } from './env.ts'
import { CURRENT_VERSION, SUPPORTED_VERSIONS, versionForError } from './versions.ts'

/** What `process` gives, as an argument, so that tests need no process. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
}

const STDIN = 0
const STDOUT = 1
/** A configuration is a few KiB; prevResult and 65,535 port mappings fit many times over. */
const MAX_STDIN_BYTES = 16 * 1024 * 1024

/** @returns the exit code: 0, or 1 with an error object on stdout */
export async function main(io: Io): Promise<number> {
  let version: unknown
  try {
    mark('runtime and entry')
    const env = readEnv(io.env)
    if (env.verb === 'VERSION') return printVersion()
    const stdin = readStdin()
    mark('stdin')
    version = guessVersion(stdin)
    await run(env, stdin)
    return 0
  } catch (err) {
    print(JSON.stringify(toCniError(err, versionForError(version))))
    return 1
  }
}

async function run(env: Env, stdin: string): Promise<void> {
  const { readContext } = await import('./context.ts')
  const context = readContext(env, stdin)
  mark('configuration')
  const output = await dispatch(context)
  if (output !== undefined) print(output.text)
  mark('result')
  await output?.after()
  mark('after')
}

/** ADD's result, and what is done once the runtime has it. */
export interface Output {
  readonly text: string
  after(): Promise<void>
}

async function dispatch(context: Context): Promise<Output | undefined> {
  switch (context.env.verb) {
    case 'ADD':
      return (await import('./add.ts')).add(context)
    case 'DEL':
      await (await import('./del.ts')).del(context)
      return undefined
    case 'CHECK':
      ;(await import('./check.ts')).check(context)
      return undefined
    case 'GC':
      await (await import('./gc.ts')).gc(context)
      return undefined
    case 'STATUS':
      ;(await import('./status.ts')).status(context)
      return undefined
    case 'VERSION':
      return undefined
  }
}

/** Never reads stdin: Podman asks at every start and may leave it open (facts: CNI V1). */
function printVersion(): number {
  print(JSON.stringify({ cniVersion: CURRENT_VERSION, supportedVersions: SUPPORTED_VERSIONS }))
  return 0
}

/** For the error object, also when the rest of the input is wrong. */
function guessVersion(stdin: string): unknown {
  try {
    return JSON.parse(stdin)?.cniVersion
  } catch {
    return undefined
  }
}

/** @throws when stdin cannot be read at all, or is endless */
function readStdin(): string {
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    const chunk = Buffer.allocUnsafe(65_536)
    const n = retried(() => readSync(STDIN, chunk))
    if (n === 0) break
    size += n
    if (size > MAX_STDIN_BYTES) throw new Error(`stdin holds more than ${MAX_STDIN_BYTES} bytes`)
    chunks.push(chunk.subarray(0, n))
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Writes it all: stdout may be a pipe that takes a part at a time. */
function print(text: string): void {
  const bytes = Buffer.from(`${text}\n`)
  for (let at = 0; at < bytes.length; ) at += retried(() => writeSync(STDOUT, bytes, at))
}

/** A runtime may hand us non-blocking pipes: EAGAIN means wait, here 1 ms at a time and at most 10 s. */
function retried(call: () => number): number {
  for (let tries = 0; ; tries++) {
    try {
      return call()
    } catch (err) {
      const code = err instanceof Error && 'code' in err ? err.code : undefined
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN' || tries >= 10_000) throw err
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
