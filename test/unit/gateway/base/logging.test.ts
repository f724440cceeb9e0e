/** docs/logging.md lists every field that the gateway logs; messages are sentences without values. */

import { readFileSync } from 'node:fs'
import t from 'tap'
import { openLog } from '../../../../gateway/base/log.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'
import { inRepo, sources } from '../../../helpers/run/sources.ts'
import { turnsUntil } from '../../../helpers/run/turns.ts'

const documented = new Set(
  [...readFileSync(inRepo('docs/logging.md'), 'utf8').matchAll(/^\| `(\w+)` \|/gm)].map((m) => m[1]!),
)

/** The calls of a log in the source, with the text of their first argument. */
function calls(file: string): { fields: string; event: string }[] {
  const text = readFileSync(inRepo(file), 'utf8')
  const pattern = /\blog\.(?:debug|info|warn|error)\(\s*\{([^}]*)\},\s*('[^']*'|[^,)]+),?\s*\)/g
  return [...text.matchAll(pattern)].map((m) => ({ fields: m[1]!, event: m[2]! }))
}

t.test('fields are those of the list', (t) => {
  const found = sources()
    .filter((f) => f.startsWith('gateway/'))
    .flatMap((file) => calls(file).map((c) => ({ file, ...c })))
  t.ok(found.length >= 15, `${found.length} calls found`)
  for (const { file, fields, event } of found) {
    const keys = fields
      .split(',')
      .map((f) => f.split(':')[0]!.trim())
      .filter((f) => /^\w+$/.test(f))
    for (const key of keys) t.ok(documented.has(key), `${file}: ${key}`)
    if (event.startsWith("'")) t.notMatch(event.replaceAll('p2p', ''), /[A-Z0-9${}]/, `${file}: ${event}`)
  }
  t.end()
})

t.test('a log file has one JSON object per line, complete after close', async (t) => {
  const file = `${scratchFolder(t)}/new/folder/gateway.log`
  const { log, close } = openLog({ level: 'info', file })
  const cause = new Error('inner')
  log.debug({}, 'unseen')
  log.info({ lease: '10.100.1.10/24' }, 'assignment registered')
  log.error({ err: new Error('outer', { cause }) }, 'reconcile failed')
  close()
  await turnsUntil('both lines are written', () => readFileSync(file, 'utf8').split('\n').length === 3)
  const lines = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(lines, [
    { level: 'info', time: /Z$/, lease: '10.100.1.10/24', msg: 'assignment registered' },
    { level: 'error', err: { message: 'outer', stack: String, cause: { message: 'inner' } } },
  ])
  t.equal(lines.length, 2)
})
