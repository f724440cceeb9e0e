/** A span of time as people say it. */
import t from 'tap'
import { duration } from '../../../../cli/status/duration.ts'

for (const [ms, text] of [
  [0, 'less than 1 s'],
  [61_000, '1 min 1 s'],
  [90_061_000, '1 d 1 h'],
] as const) {
  t.test(`${ms} ms is ${text}`, async (t) => {
    t.equal(duration(ms), text)
  })
}
