/** Rules that hold for every source file: it says in one sentence what it owns, and is short. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { inRepo, sources } from '../../helpers/run/sources.ts'

const MAX_LINES = 300

t.test('every file starts with a sentence that says what it owns', async (t) => {
  const wanting = sources().filter((file) => {
    const [head = ''] = readFileSync(inRepo(file), 'utf8').match(/^(?:#!.*\n)?\/\*\*[\s\S]*?\*\//) ?? []
    return !/[\w)`'"»].*\.\s/s.test(head)
  })
  t.same(wanting, [], 'files without it')
})

t.test('no file is longer than a person reads at a sitting', async (t) => {
  const long = sources()
    .filter((file) => !file.startsWith('test/'))
    .map((file) => [file, readFileSync(inRepo(file), 'utf8').split('\n').length - 1] as const)
    .filter(([, lines]) => lines > MAX_LINES)
  t.same(long, [])
})
