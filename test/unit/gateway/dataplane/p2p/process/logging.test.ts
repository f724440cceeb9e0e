/** docs/logging.md lists each message of the process of direct paths, with its level. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { inRepo, sources } from '../../../../../helpers/run/sources.ts'

const CALL = /\blog\.(debug|info|warn|error)\(\s*\{[^}]*\},\s*'([^']+)',?\s*\)/g

t.test('the list of messages is that of the source', async (t) => {
  const files = sources().filter(
    (file) => file.startsWith('gateway/dataplane/p2p/process/') || file === 'cli/commands/p2p.ts',
  )
  const said = files.flatMap((file) =>
    [...readFileSync(inRepo(file), 'utf8').matchAll(CALL)].map(([, level, msg]) => `${msg} | ${level}`),
  )
  const [, section = ''] = readFileSync(inRepo('docs/logging.md'), 'utf8').split(
    '## Messages of direct paths',
  )
  const listed = [
    ...(section.split('\n## ')[0] ?? '').matchAll(/^\| ([^|]+) \| (debug|info|warn|error) \|/gm),
  ]
  t.ok(said.length >= 18, `${said.length} calls`)
  t.same([...new Set(said)].sort(), listed.map(([, msg, level]) => `${msg} | ${level}`).sort())
})
