/** Runs every verb but VERSION: configuration from stdin, the verb's module, result or error on stdout. */

import { toCniError } from '../core/errors.ts'
import { mark } from '../core/trace.ts'
import { type Context, type Output, readContext } from './context.ts'
import type { Env } from './env.ts'
import { print, readStdin } from './stdio.ts'
import { versionForError } from './versions.ts'

/** @returns the exit code: 0, or 1 with an error object on stdout */
export async function runVerb(env: Env): Promise<number> {
  let version: unknown
  try {
    mark('load')
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

/** Podman 5's dialect. @param args the verb and its argument, as on the command line @returns the exit code */
export async function runNetavark(args: readonly string[]): Promise<number> {
  return (await import('./netavark/run.ts')).answerNetavark(args)
}

async function run(env: Env, stdin: string): Promise<void> {
  const context = readContext(env, stdin)
  mark('configuration')
  const output = await dispatch(context)
  if (output !== undefined) print(output.text)
  mark('result')
  await output?.after()
  mark('after')
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

/** For the error object, also when the rest of the input is wrong. */
function guessVersion(stdin: string): unknown {
  try {
    return JSON.parse(stdin)?.cniVersion
  } catch {
    return undefined
  }
}
