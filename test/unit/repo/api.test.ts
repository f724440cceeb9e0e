/** docs/api.md names every field of a path, and no other. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { inRepo } from '../../helpers/run/sources.ts'

const doc = readFileSync(inRepo('docs/api.md'), 'utf8')
const source = readFileSync(inRepo('core/api.ts'), 'utf8')

/** Names of an interface's own fields, in order. */
function fieldsOf(name: string): string[] {
  const [, body = ''] = new RegExp(`export interface ${name} \\{\\n([^]*?)\\n\\}`).exec(source) ?? []
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map((m) => m[1] ?? '')
}

/** In the first cells of the table with this title. */
function documented(title: string): string[] {
  const [, rest = ''] = doc.split(`| ${title} | |\n`)
  const [table = ''] = /^(?:\|.*\n)+/.exec(rest) ?? []
  const cells = table.split('\n').map((line) => line.split('|')[1] ?? '')
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map((m) => m[1] ?? ''))
}

for (const [title, name, atLeast] of [
  ['field of a path', 'PathInfo', 8],
  ['field of `p2p`', 'P2pInfo', 15],
] as const)
  t.test(title, async (t) => {
    const fields = fieldsOf(name)
    t.ok(fields.length >= atLeast, `${fields.length} are in core/api.ts`)
    t.same(documented(title).sort(), fields.sort())
  })

t.test('fields of the probes', async (t) => {
  const names = fieldsOf('P2pProbes')
  t.equal(names.length, 5)
  const row = doc.split('\n').find((line) => line.startsWith('| `probes` |')) ?? ''
  for (const name of names) t.ok(row.includes(`\`${name}\``), name)
})
