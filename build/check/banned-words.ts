/** Words that no comment, message or document says: they hide the actor. `npm run check:words` finds them. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')
/** Named by their path, as they have to write the words. */
const SPEAKS_OF_THEM = ['build/check/banned-words.ts', 'test/unit/repo/banned-words.test.ts']

/**
 * What to say in their place: the actor's name, once for each sentence ("the peer", "a runtime", "another process").
 */
export const BANNED: readonly string[] = [
  'whoever',
  'somebody',
  'anybody',
  'none of ours',
  'is told of',
  'for what reason ever',
  'evil',
  'shaky',
]

export interface Found {
  readonly word: string
  /** `file:line: text` */
  readonly places: readonly string[]
}

/** @param texts by the path of their file */
export function bannedIn(texts: ReadonlyMap<string, string>, banned = BANNED): Found[] {
  return banned.flatMap((word): Found[] => {
    const pattern = new RegExp(String.raw`\b${word}\b`, 'i')
    const places = [...texts].flatMap(([file, text]) =>
      text
        .split('\n')
        .flatMap((line, n) => (pattern.test(line) ? [`${file}:${n + 1}: ${line.trim().slice(0, 140)}`] : [])),
    )
    return places.length > 0 ? [{ word, places }] : []
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
  const found = bannedIn(texts())
  for (const { word, places } of found) {
    process.stderr.write(`"${word}" hides the actor: name it\n`)
    for (const place of places) process.stderr.write(`  ${place}\n`)
  }
  process.exitCode = found.length > 0 ? 1 : 0
}
