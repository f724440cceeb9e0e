/**
 * The harnesses of bin/fuzz: every parser takes its seeds and some hundreds of changed inputs; a bad parser is found.
 */
import t from 'tap'
import { testCluster } from '../../helpers/cluster/cluster.ts'
import { fuzzOnce, type Outcome } from '../../helpers/fuzz/fuzz.ts'
import { type Harness, harnesses } from '../../helpers/fuzz/harnesses.ts'
import { scratchFolder } from '../../helpers/run/scratch.ts'

/** The same inputs in every run. */
const SEED = 1
const INPUTS = 200

const outcomeOf = (harness: Harness): Outcome => {
  const outcome: Outcome = { name: harness.name, inputs: 0, slowestMs: 0, finds: [] }
  fuzzOnce(harness, outcome, INPUTS, SEED)
  return outcome
}

t.test('each parser', async (t) => {
  const { ca } = await testCluster()
  for (const harness of harnesses({ folder: scratchFolder(t), ca })) {
    for (const seed of harness.seeds) t.doesNotThrow(() => harness.run(seed), `${harness.name}: a seed`)
    t.same(outcomeOf(harness).finds, [], harness.name)
  }
})

t.test('a parser that throws what is not its own is found, with the smallest input', async (t) => {
  const { finds } = outcomeOf({
    name: 'bad',
    seeds: [Buffer.from('abc')],
    words: [],
    run: (bytes) => {
      if (bytes.includes(0)) throw new TypeError('no')
    },
  })
  t.same(finds, ['seed 1: 00616263\nTypeError: no'])
})
