/**
 * conf/reader.ts: untrusted JSON in, typed values out, and every problem with its key, its value and what is allowed.
 */
import t from 'tap'
import { Reader, show } from '../../../conf/reader.ts'

t.test('a value in a message is JSON and never long', async (t) => {
  t.equal(show({ a: 1 }), '{"a":1}')
  t.equal(show(undefined), 'undefined')
  t.equal(show('x'.repeat(1_000)).length, 80)
})

t.test('an absent key gives the fallback without a problem', async (t) => {
  const reader = new Reader({})
  t.equal(reader.string('a', 'x'), 'x')
  t.equal(reader.boolean('b', true), true)
  t.equal(reader.integer('c', 7, 0, 9), 7)
  t.same(reader.array('d'), [])
  t.equal(
    reader.parsed('e', 'text', 'anything', (text) => text),
    'text',
  )
  t.equal(reader.object('f').string('g', 'y'), 'y')
  t.same(reader.problems, [])
})

t.test('a wrong value is a problem that names key, value and what is allowed', async (t) => {
  const reader = new Reader({ a: 7, b: 'yes', c: 10, d: {}, e: 'x', f: [], n: 1.5, s: '' })
  t.equal(reader.string('a', 'x'), 'x', 'the fallback stands in: the rest can be read')
  reader.string('s', 'x')
  reader.boolean('b', true)
  reader.integer('c', 7, 0, 9)
  reader.integer('n', 7, 0, 9)
  reader.array('d')
  reader.parsed('e', undefined, 'must be y', () => undefined)
  reader.object('f')
  reader.integer('missing', undefined, 1, 2)
  t.same(reader.problems, [
    'a is 7: must be a non-empty string',
    's is "": must be a non-empty string',
    'b is "yes": must be true or false',
    'c is 10: must be a whole number from 0 to 9',
    'n is 1.5: must be a whole number from 0 to 9',
    'd is {}: must be a list',
    'e is "x": must be y',
    'f is []: must be an object',
    'missing is missing: must be a whole number from 1 to 2',
  ])
})

t.test('problems of inner objects carry their path and land in one list', async (t) => {
  const reader = new Reader({ a: { b: { c: 1 } } })
  reader.object('a').object('b').string('c', '')
  t.same(reader.problems, ['a.b.c is 1: must be a non-empty string'])
})

t.test('an unknown key is told with the known ones, or with the one that was meant', async (t) => {
  const reader = new Reader({ hostid: 1, host_id: 1, 'HOST-ID': 1, other: 2, hostId: 3 })
  reader.refuseUnknown(['hostId', 'routes'])
  t.same(reader.problems, [
    'hostid is 1: write hostId',
    'host_id is 1: write hostId',
    'HOST-ID is 1: write hostId',
    'other is 2: no such key; known are hostId, routes',
  ])
})

t.test('null stands for an absent list, as Go writes empty ones', async (t) => {
  const reader = new Reader({ a: null })
  t.same(reader.array('a'), [])
  t.same(reader.problems, [])
})

t.test('a prototype in the JSON gives no values', async (t) => {
  const reader = new Reader(JSON.parse('{"__proto__": {"b": true}}'))
  t.equal(reader.boolean('b', false), false)
})
