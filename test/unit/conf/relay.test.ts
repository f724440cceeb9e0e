/** The section `relay` of flatnet.yaml: its values, and what is said of wrong ones. */

import t from 'tap'
import { daemonConf } from '../../../conf/daemon.ts'
import { ConfigError } from '../../../core/errors.ts'

const relay = (value: unknown) => daemonConf({ hostId: 1, relay: value }).relay
function problem(value: unknown): string {
  try {
    relay(value)
  } catch (err) {
    if (err instanceof ConfigError) return err.message
    throw err
  }
  return ''
}

t.test('values', (t) => {
  t.same(relay(undefined), { volunteer: true, maxPairs: 64 })
  const given = { volunteer: false, maxPairs: 8, bandwidthMbit: 20, region: 'FRA-1' }
  t.same(relay(given), { ...given, region: 'fra-1' }, 'a region is the same in capitals')
  t.same(relay({ region: '' }), { volunteer: true, maxPairs: 64 })
  t.end()
})

const wrong: [value: unknown, expected: RegExp][] = [
  [{ volunteer: 'yes' }, /relay\.volunteer is "yes": must be true or false/],
  [{ maxPairs: 0 }, /relay\.maxPairs is 0: must be a whole number from 1 to 4096/],
  [{ bandwidthMbit: 0.5 }, /relay\.bandwidthMbit is 0\.5: must be a whole number/],
  [{ region: 'a b' }, /relay\.region is "a b": must be letters, digits/],
  [{ region: 'x'.repeat(33) }, /relay\.region/],
  [{ region: 7 }, /relay\.region is 7/],
  [{ bandwithMbit: 7 }, /relay\.bandwithMbit .*did you mean bandwidthMbit/],
]

for (const [value, expected] of wrong)
  t.test(JSON.stringify(value), (t) => {
    t.match(problem(value), expected)
    t.end()
  })
