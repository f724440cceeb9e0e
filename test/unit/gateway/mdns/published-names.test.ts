/** Which names of this host's containers are published. */
import t from 'tap'
import type { Assignment } from '../../../../core/api.ts'
import { publishedNames } from '../../../../gateway/mdns/published-names.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'

const ID = 'c0ffee0123456789'

function published(own: readonly Assignment[], others: Readonly<Record<string, Assignment>> = {}) {
  const byName = (name: string): readonly Assignment[] => {
    const holder =
      others[name] ?? own.find((a) => [a.name, ...a.aliases].some((n) => n?.toLowerCase() === name))
    return holder === undefined || name === 'reserved' ? [] : [holder]
  }
  return publishedNames(own, 1, { byName })
}
const names = (...given: Parameters<typeof published>): string[] => [...published(...given).names]

t.test('names and aliases, in lower case, once', (t) => {
  t.same(names([assignmentOf({ name: 'Web', aliases: ['www', 'WEB'] })]), ['web.local', 'www.local'])
  t.same(names([assignmentOf({ aliases: ['db'] })]), ['db.local'], 'without a name')
  t.end()
})

t.test('what is not published', (t) => {
  const other = assignmentOf({ name: 'web', hostId: 2 })
  t.same(names([assignmentOf({ name: 'web' })], { web: other }), [], 'another host has it first')
  t.same(names([assignmentOf({ name: 'reserved' })]), [], 'what the look-up does not find')
  t.same(
    names([assignmentOf({ containerId: ID, aliases: [ID.slice(0, 12)] })]),
    [],
    'the id of the container',
  )
  t.same(names([assignmentOf({ containerId: ID, aliases: [ID.slice(0, 6)] })]), [`${ID.slice(0, 6)}.local`])
  for (const name of ['wpad', 'isatap', 'my.app', '-web', 'web-', 'bücher', 'a b', 'x'.repeat(64), ''])
    t.same(names([assignmentOf({ name })]), [], `"${name}"`)
  t.same(names([assignmentOf({ name: 'x'.repeat(63) })]), [`${'x'.repeat(63)}.local`])
  t.end()
})

t.test('a bound', (t) => {
  const own = Array.from({ length: 600 }, (_, i) => assignmentOf({ name: `c${i}` }))
  const { isCut, names: all } = published(own)
  t.same([all.size, isCut], [512, true])
  t.equal(published(own.slice(0, 512)).isCut, false)
  t.end()
})
