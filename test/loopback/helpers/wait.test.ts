/** A limit is for a calm machine: time in which processors are waited for does not count, up to five limits. */
import t from 'tap'
import { waitFor } from '../../helpers/run/wait.ts'

const LIMIT_MS = 20

/** @param share of the time that passes, in which a processor is waited for @returns how long it took to give up, ms */
async function givesUp(share: number): Promise<number> {
  const began = performance.now()
  const stalled = () => (performance.now() - began) * share
  const error: Error = await waitFor('never', LIMIT_MS, () => false, { stalled }).catch((err) => err)
  const [, ms = '0', limit] =
    /^waited (\d+) ms \(limit (\d+)\) in vain until never$/.exec(error.message) ?? []
  t.equal(Number(limit), LIMIT_MS)
  return Number(ms)
}

t.test('calm: one limit', async (t) => t.ok((await givesUp(0)) >= LIMIT_MS))
t.test('half of the time stalled: two limits', async (t) => t.ok((await givesUp(0.5)) >= 2 * LIMIT_MS))
t.test('all of it stalled: five limits, and an end', async (t) => t.ok((await givesUp(1)) >= 5 * LIMIT_MS))

t.test('a probe that throws is asked again, and its last error is the cause', async (t) => {
  let asked = 0
  const probe = () => {
    if (++asked < 3) throw new Error(`${asked}`)
    return asked
  }
  t.equal(await waitFor('three', 1_000, probe), 3)
  const broken = () => {
    throw new Error('no')
  }
  const error = await waitFor('never', 1, broken, { stalled: () => 0 }).catch((err) => err)
  t.match(error.cause, { message: 'no' })
})
