/** The configurations of docs/operations/set-ups.md are read by the gateway as they stand. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parseDaemonConf } from '../../../conf/daemon.ts'
import { inRepo } from '../../helpers/run/sources.ts'

const page = readFileSync(inRepo('docs/operations/set-ups.md'), 'utf8')

t.test('the four set-ups', async (t) => {
  const found = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text)
  t.equal(found.length, 4)
  for (const text of found) t.doesNotThrow(() => parseDaemonConf(`hostId: 1\n${text}`), text)
  t.throws(() => parseDaemonConf('hostId: 1\npaths: { stunn: [] }'), 'a key that does not exist is found')
})

t.test('"everything" has every key of paths', async (t) => {
  const all = Object.keys(parseDaemonConf('hostId: 1').paths)
  const [last = ''] = page.split('\n## Everything\n').slice(1)
  for (const key of all) t.match(last, new RegExp(`^  ${key}:`, 'm'))
})
