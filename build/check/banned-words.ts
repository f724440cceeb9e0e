/** Words that no comment, message or document says: they hide the actor. `npm run check:words` finds them. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')
/** Named by their path, as they have to write the words. */
const SPEAKS_OF_THEM = ['build/check/banned-words.ts', 'test/unit/repo/banned-words.test.ts']

/**
 * What to say in their place: the actor's name, once for each sentence ("the peer", "a runtime", "another process").
 * The number is how often each may still be said: lower it with each rewrite, never raise it. A word at 0 is banned.
 */
export const BANNED: Readonly<Record<string, number>> = {
  whoever: 44,
  somebody: 40,
  anybody: 16,
  nobody: 112,
  'none of ours': 5,
  'is told of': 4,
  'for what reason ever': 0,
  evil: 0,
  shaky: 0,
}

export interface Found {
  readonly word: string
  /** `file:line: text` */
  readonly places: readonly string[]
}

/** @param texts by the path of their file @returns the words said more often than they may be */
export function tooOften(texts: ReadonlyMap<string, string>, allowed = BANNED): Found[] {
  return Object.entries(allowed).flatMap(([word, times]): Found[] => {
    const pattern = new RegExp(String.raw`\b${word}\b`, 'i')
    const places = [...texts].flatMap(([file, text]) =>
      text
        .split('\n')
        .flatMap((line, n) => (pattern.test(line) ? [`${file}:${n + 1}: ${line.trim().slice(0, 140)}`] : [])),
    )
    return places.length > times ? [{ word, places }] : []
  })
}

function texts(): Map<string, string> {
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts', '*.md'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  const files = list
    .trim()
    .split('\n')
    .filter((file) => !SPEAKS_OF_THEM.includes(file))
  return new Map(files.flatMap((file) => readIfThere(file)))
}

/** A file that was just deleted is still in git's list. */
function readIfThere(file: string): [string, string][] {
  try {
    return [[file, readFileSync(join(ROOT, file), 'utf8')]]
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw err
  }
}

if (import.meta.main) {
  const found = tooOften(texts())
  for (const { word, places } of found) {
    const times = BANNED[word] ?? 0
    process.stderr.write(
      `"${word}" is said on ${places.length} lines, ${times} are allowed: name the actor\n`,
    )
    for (const place of places) process.stderr.write(`  ${place}\n`)
  }
  process.exitCode = found.length > 0 ? 1 : 0
}
